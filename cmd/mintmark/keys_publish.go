package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/signingkey"
)

func newKeysPublishCommand(s streams) *cobra.Command {
	c := &keysCommand{}
	cmd := &cobra.Command{
		Use:   "publish DIR",
		Short: "Write the issuer's documents as files, to host them elsewhere",
		Long: `Write the discovery document and the key set of the server into a directory, in the places where
relying parties look for them below the issuer's URL. Copy the directory to the web server or
bucket that answers at that URL. Publish again whenever a key is prepared or gone: at the latest
before the lead of a new key is over.`,
		Example: `  mintmark keys publish ./public && aws s3 sync ./public s3://issuer.example.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf(cmd, "name one directory")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, s, func(ctx context.Context, client *keysClient) error { return c.publish(ctx, s, client, args[0]) })
		},
	}
	c.addDryRun(cmd)
	c.addTo(cmd)
	return cmd
}

// discovery is what publish reads of the discovery document.
type discovery struct {
	Issuer  string `json:"issuer"`
	JWKSURI string `json:"jwks_uri"`
}

func (k *keysCommand) publish(ctx context.Context, s streams, client *keysClient, dir string) error {
	document, err := client.document(ctx, signingkey.ConfigurationPath)
	if err != nil {
		return err
	}
	keySet, err := client.document(ctx, signingkey.KeySetPath)
	if err != nil {
		return err
	}
	var named discovery
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := errors.Join(json.Unmarshal(document, &named), json.Unmarshal(keySet, &set)); err != nil {
		return fmt.Errorf("the server's documents can't be read: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New("the key set of the server is empty: nothing is written")
	}
	warnOfMany(s, len(set.Keys))
	where, below := strings.CutPrefix(named.JWKSURI, strings.TrimSuffix(named.Issuer, "/")+"/")
	if !below || !filepath.IsLocal(where) {
		where = strings.TrimPrefix(signingkey.KeySetPath, "/")
	}
	// The key set first: the discovery document leads to it.
	sentences := []string{fmt.Sprintf("%d keys of the issuer %s:", len(set.Keys), named.Issuer)}
	for _, file := range []struct {
		path    string
		content []byte
	}{{where, keySet}, {strings.TrimPrefix(signingkey.ConfigurationPath, "/"), document}} {
		path := filepath.Join(dir, filepath.FromSlash(file.path))
		if !k.dryRun {
			if err := replaceFile(path, file.content); err != nil {
				return err
			}
		}
		sentences = append(sentences, "  "+path)
	}
	if !below {
		sentences = append(sentences, fmt.Sprintf("The discovery document says that the key set is at %s: host it there.", named.JWKSURI))
	}
	return k.say(s, sentences...)
}

// document reads one of the issuer's documents.
func (c *keysClient) document(ctx context.Context, path string) ([]byte, error) {
	body, err := c.Get().AbsPath(path).SetHeader("Accept", "application/jwk-set+json, application/json").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("failed to read %s: %w", path, c.server.explain(ctx, err))
	}
	return body, nil
}

// Modes of published files: they are for everybody.
const (
	publishedDir  = 0o755
	publishedFile = 0o644
)

// replaceFile writes a file so that a reader sees the old content or the new.
func replaceFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), publishedDir); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".mintmark-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(publishedFile), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
