package main

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	shortestToken = 10 * time.Minute
	longestToken  = (1 << 32) * time.Second
	defaultToken  = time.Hour
	// onlyToken is the path of a token that is alone and has none.
	onlyToken = "token"
	caPath    = "ca.crt"
	// longestPath and longestName are the lengths, in bytes, of a path and of a name in it that the agent can write.
	longestPath, longestName = 4096, 255
)

// workloadSources returns the sources of a volume with these tokens and, with ca, the server's certificate authority.
func workloadSources(tokens []string, ca bool) ([]corev1.VolumeProjection, error) {
	if len(tokens) == 0 {
		return nil, errors.New("a workload needs a token: give --token, such as --token audience=vault,path=vault-token,expiration=15m")
	}
	var sources []corev1.VolumeProjection
	var paths []string
	for _, text := range tokens {
		token, err := parseWorkloadToken(text, len(tokens) == 1)
		if err != nil {
			return nil, fmt.Errorf("--token %s: %w", plain(text), err)
		}
		paths = append(paths, token.Path)
		sources = append(sources, corev1.VolumeProjection{ServiceAccountToken: token})
	}
	if ca {
		paths = append(paths, caPath)
		sources = append(sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: rootCA},
			Items:                []corev1.KeyToPath{{Key: caPath, Path: caPath}},
		}})
	}
	for i, one := range paths {
		for _, other := range paths[:i] {
			if one == other {
				return nil, fmt.Errorf("two files can't be at one path: %s is there twice", plain(one))
			}
			if strings.HasPrefix(one+"/", other+"/") || strings.HasPrefix(other+"/", one+"/") {
				return nil, fmt.Errorf("a file can't be inside another: %s and %s", plain(other), plain(one))
			}
		}
	}
	return sources, nil
}

// parseWorkloadToken reads the value of a --token. The path may be missing if the token is the only one.
func parseWorkloadToken(text string, only bool) (*corev1.ServiceAccountTokenProjection, error) {
	values := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch _, twice := values[key]; {
		case key != "audience" && key != "path" && key != "expiration":
			return nil, fmt.Errorf("%q is none of audience=, path= and expiration=, which are separated by commas", plain(key))
		case twice:
			return nil, fmt.Errorf("%s is there twice; each token has a --token of its own", key)
		case value == "":
			return nil, fmt.Errorf("%s has no value: leave it out, or write %s=VALUE", key, key)
		}
		values[key] = value
	}
	token := &corev1.ServiceAccountTokenProjection{Audience: values["audience"], Path: values["path"]}
	if token.Path == "" {
		if !only {
			return nil, errors.New("each of several tokens needs a path=, which is the name of its file")
		}
		token.Path = onlyToken
	}
	if err := checkFilePath(token.Path); err != nil {
		return nil, err
	}
	token.Path = path.Clean(token.Path)
	lasts := defaultToken
	if text := values["expiration"]; text != "" {
		parsed, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("expiration=%s is no duration, such as 15m or 24h", plain(text))
		case parsed%time.Second != 0:
			return nil, errors.New("expiration= must be in whole seconds")
		case parsed < shortestToken:
			return nil, errors.New("expiration= must be ten minutes (10m) or more")
		case parsed > longestToken:
			return nil, errors.New("expiration= must be 2^32 seconds at most")
		}
		lasts = parsed
	}
	seconds := int64(lasts / time.Second)
	token.ExpirationSeconds = &seconds
	return token, nil
}

// checkFilePath refuses a path that would leave the volume, or meet the files that the agent keeps there for itself.
func checkFilePath(text string) error {
	cleaned := path.Clean(text)
	switch {
	case path.IsAbs(text):
		return fmt.Errorf("path=%s must be relative: files are written below the directory of the volume", plain(text))
	case cleaned == ".":
		return fmt.Errorf("path=%s must name a file", plain(text))
	case containsParent(text):
		return fmt.Errorf("path=%s must not contain '..': files are written below the directory of the volume", plain(text))
	case strings.HasPrefix(cleaned, ".."):
		return fmt.Errorf("path=%s must not begin with '..': such names are the agent's own", plain(text))
	case strings.ContainsRune(text, '\n'), plain(text) != text:
		return fmt.Errorf("path=%q must be of characters that can be printed", text)
	case len(text) > longestPath:
		return fmt.Errorf("path= must be no longer than %d bytes", longestPath)
	}
	for name := range strings.SplitSeq(cleaned, "/") {
		if len(name) > longestName {
			return fmt.Errorf("path= must have no name of more than %d bytes in it: no file system takes a longer one", longestName)
		}
	}
	return nil
}

func containsParent(text string) bool {
	for element := range strings.SplitSeq(text, "/") {
		if element == ".." {
			return true
		}
	}
	return false
}
