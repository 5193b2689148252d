package signingkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// fileKey is a key of a PEM file.
type fileKey struct {
	private crypto.Signer // nil if the file has the public half alone
	public  crypto.PublicKey
	where   string // the block in the file, for errors
}

const (
	blockBegin = "-----BEGIN "
	byteOrder  = "\xef\xbb\xbf" // the byte order mark of UTF-8, which editors of Windows write
	curveBlock = "EC PARAMETERS"
)

// readKeys returns the keys of a PEM text in their order, one at least. Each block of the text is one of these keys, or
// the parameters that openssl writes in front of an EC key; any other block is an error that names it. Text between the
// blocks is ignored. path is what errors call the text, and wanted is what kube-apiserver calls the content that it misses.
func readKeys(data []byte, path, wanted string) ([]fileKey, error) {
	rest := bytes.ReplaceAll(data, []byte(byteOrder), nil)
	var keys []fileKey
	for line := 1; ; {
		start := bytes.Index(rest, []byte(blockBegin))
		if start < 0 {
			break
		}
		line += bytes.Count(rest[:start], []byte("\n"))
		where := fmt.Sprintf("the block in line %d", line)
		block, after := pem.Decode(rest)
		// The decoder passes over what it can't read and goes on to the next block.
		if block == nil || bytes.Count(rest[:len(rest)-len(after)], []byte(blockBegin)) > 1 {
			return nil, fmt.Errorf("%s: %s can't be decoded: it is cut off, indented, or no base64 text. Copy the key into the file again", path, where)
		}
		if block.Type != curveBlock {
			where = fmt.Sprintf("the %s in line %d", block.Type, line)
			key, err := readBlock(block)
			if err != nil {
				return nil, fmt.Errorf("%s: %s %w", path, where, err)
			}
			key.where = where
			keys = append(keys, key)
		}
		line += bytes.Count(rest[start:len(rest)-len(after)], []byte("\n"))
		rest = after
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s does not contain %s: it %w", path, wanted, explainNoKeys(data))
	}
	return keys, nil
}

// explainNoKeys names the format of a file that has no key in PEM.
func explainNoKeys(data []byte) error {
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		return errors.New("is empty: it must hold a key in PEM (-----BEGIN …)")
	case strings.Contains(text, curveBlock):
		return errors.New("holds the parameters of an EC key, but no key: make one with 'openssl genpkey'")
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return errors.New("is text in UTF-16: save it as UTF-8 or ASCII")
	case strings.HasPrefix(text, "---- BEGIN SSH2"), strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-sha2-"):
		return errors.New("is a public key in a format of SSH: convert it with 'ssh-keygen -e -m PKCS8 -f OLD > NEW'")
	case strings.HasPrefix(text, "{"):
		return errors.New("holds JSON, such as a JSON Web Key: the key is needed in PEM (-----BEGIN …)")
	case text[0] == derSequence, strings.HasPrefix(text, "\xfe\xed\xfe\xed"):
		return errors.New("is binary, such as a key in DER or a key store: the key is needed in PEM; 'openssl pkey', 'openssl x509' and 'openssl pkcs12 -nodes' write it")
	}
	return errors.New("holds no key in PEM (-----BEGIN …)")
}

// readBlock returns the key in a block. The label does not decide what the block is read as, since programs differ in
// what they call the same bytes.
func readBlock(block *pem.Block) (fileKey, error) {
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return fileKey{}, errors.New("is encrypted, and the server asks for no passphrase: decrypt it with 'openssl pkey -in OLD -out NEW', into a file that only the server may read")
	case block.Type == "OPENSSH PRIVATE KEY":
		return fileKey{}, errors.New("is in the format of OpenSSH: convert a copy of it with 'ssh-keygen -p -m PKCS8 -f COPY'")
	case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
		return fileKey{}, errors.New("is a request for a certificate: the key or the certificate is needed")
	}
	found, err := parseDER(block.Bytes)
	if err != nil {
		return fileKey{}, err
	}
	key := fileKey{public: found}
	if private, ok := found.(interface{ Public() crypto.PublicKey }); ok {
		key.public = private.Public()
		key.private, _ = found.(crypto.Signer)
	}
	return key, checkKind(key.public)
}

// minVerifyBits is the shortest RSA key that crypto/rsa takes.
const minVerifyBits = 1024

// checkKind refuses keys that fit no algorithm for tokens.
func checkKind(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minVerifyBits {
			return fmt.Errorf("has an RSA key of %d bits; at least %d are needed", bits, minRSABits)
		}
		return nil
	case *ecdsa.PublicKey:
		if _, err := algorithmFor(key); err != nil {
			return unusable("an ECDSA key on " + key.Params().Name)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return unusable(kindOf(public))
}

// unusable says that a key is of a kind that can't sign tokens.
func unusable(kind string) error {
	return fmt.Errorf("has %s, which can't be used for tokens: an RSA key is needed, or an ECDSA key on P-256, P-384 or P-521", kind)
}
