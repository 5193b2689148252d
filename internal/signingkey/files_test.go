package signingkey_test

import (
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/signingkey"
)

func keyFile(name string) string { return filepath.Join("testdata", "keys", name) }

// ids returns the key ids of all keys in a file.
func ids(t *testing.T, path string) []string {
	t.Helper()
	keys, err := signingkey.LoadPublicKeys(path)
	if err != nil {
		t.Error(err)
	}
	var ids []string
	for _, key := range keys {
		ids = append(ids, id(t, key))
	}
	return ids
}

func id(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	id, err := signingkey.KeyID(key)
	if err != nil {
		t.Error(err)
	}
	return id
}

// One EC key and one RSA key are read alike in every spelling that openssl, ssh-keygen, keytool and cfssl have for them:
// see testdata/keys/make.sh.
func TestSpellingsOfKeys(t *testing.T) {
	for reference, spellings := range map[string]struct{ private, public []string }{
		"ec-public.pem": {
			private: []string{"ec-parameters-first.pem", "ec-sec1.pem", "ec-pkcs8.pem", "ec-ssh-keygen-pem.pem", "ec-bag-attributes.pem"},
			public: []string{
				"ec-public.pem", "ec-public-text.pem", "ec-public-ssh-keygen.pem", "ec-certificate.pem", "ec-certificate-text.pem",
				"ec-certificate-trusted.pem", "ec-keytool.pem",
			},
		},
		"rsa-public.pem": {
			private: []string{"rsa-pkcs1.pem", "rsa-pkcs8.pem", "rsa-ssh-keygen-pkcs8.pem"},
			public:  []string{"rsa-public.pem", "rsa-public-pkcs1.pem", "rsa-public-ssh-keygen.pem"},
		},
	} {
		want := ids(t, keyFile(reference))[0]
		for _, name := range spellings.private {
			key, err := signingkey.LoadPrivateKey(keyFile(name))
			if err != nil {
				t.Error(err)
				continue
			}
			if got := id(t, key.Public()); got != want {
				t.Errorf("%s holds the key %s, want %s", name, got, want)
			}
		}
		for _, name := range append(spellings.private, spellings.public...) {
			if got := ids(t, keyFile(name)); len(got) != 1 || got[0] != want {
				t.Errorf("%s holds the keys %q, want %s alone", name, got, want)
			}
		}
		for _, name := range spellings.public {
			if _, err := signingkey.LoadPrivateKey(keyFile(name)); err == nil || !strings.Contains(err.Error(), "holds a public key only") {
				t.Errorf("%s as signing key: error %v", name, err)
			}
		}
	}
}

// All blocks of a file are read, whatever line ends, marks and text editors and mail programs add.
func TestFilesOfSeveralKeys(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(keyFile(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ec, rsa := ids(t, keyFile("ec-public.pem"))[0], ids(t, keyFile("rsa-public.pem"))[0]
	const bom = "\ufeff"
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"a PKCS #8 key behind a public key": {read("rsa-public.pem") + read("ec-pkcs8.pem"), []string{rsa, ec}},
		"a PKCS #8 key in front":            {read("ec-pkcs8.pem") + read("rsa-pkcs1.pem"), []string{ec, rsa}},
		"a certificate and its key":         {read("ec-certificate.pem") + read("ec-pkcs8.pem"), []string{ec}},
		"line ends of Windows":              {strings.ReplaceAll(read("ec-parameters-first.pem")+read("rsa-public.pem"), "\n", "\r\n"), []string{ec, rsa}},
		"a byte order mark":                 {bom + read("ec-pkcs8.pem") + bom + read("rsa-public.pem"), []string{ec, rsa}},
		"text around the blocks":            {"key of 2026\n\n" + read("ec-public.pem") + "\nand the old one\n" + read("rsa-public.pem") + "end", []string{ec, rsa}},
		"no line end at the end":            {strings.TrimSpace(read("ec-public.pem")), []string{ec}},
		"white space behind the lines":      {strings.ReplaceAll(read("ec-public.pem"), "\n", " \t\n"), []string{ec}},
		"a label that is another's":         {strings.ReplaceAll(read("ec-pkcs8.pem"), "PRIVATE", "EC PRIVATE"), []string{ec}},
	} {
		path := filepath.Join(t.TempDir(), "keys.pem")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, path); strings.Join(got, " ") != strings.Join(test.want, " ") {
			t.Errorf("%s: keys %q, want %q", name, got, test.want)
		}
	}
}

// An error about a key names the file, the block and the kind of the key, and says what to do.
func TestRefusedKeyFiles(t *testing.T) {
	const kinds = "which can't be used for tokens: an RSA key is needed, or an ECDSA key on P-256, P-384 or P-521"
	for name, want := range map[string]string{
		"ec-sec1-encrypted.pem":   "the EC PRIVATE KEY in line 1 is encrypted, and the server asks for no passphrase: decrypt it with 'openssl pkey",
		"ec-pkcs8-encrypted.pem":  "the ENCRYPTED PRIVATE KEY in line 1 is encrypted",
		"rsa-pkcs1-encrypted.pem": "the RSA PRIVATE KEY in line 1 is encrypted",
		"ec-openssh.pem":          "the OPENSSH PRIVATE KEY in line 1 is in the format of OpenSSH: convert a copy of it with 'ssh-keygen -p -m PKCS8",
		"ec-openssh.pub":          "is a public key in a format of SSH: convert it with 'ssh-keygen -e -m PKCS8",
		"ec-rfc4716.pub":          "is a public key in a format of SSH",
		"ec-request.pem":          "the CERTIFICATE REQUEST in line 1 is a request for a certificate",
		"ec-parameters.pem":       "holds the parameters of an EC key, but no key",
		"ec-sec1.der":             "is binary, such as a key in DER or a key store",
		"ec-keystore.p12":         "is binary, such as a key in DER or a key store",
		"ec-explicit-curve.pem":   "has an ECDSA key with a curve that is spelled out, not named, " + kinds,
		"ed25519.pem":             "the PRIVATE KEY in line 1 has an Ed25519 key, " + kinds,
		"ed25519-public.pem":      "the PUBLIC KEY in line 1 has an Ed25519 key, " + kinds,
		"ed448.pem":               "has an Ed448 key, " + kinds,
		"x25519.pem":              "has a key for key agreement (X25519), " + kinds,
		"rsa-pss.pem":             "has a key for RSASSA-PSS alone, " + kinds,
		"secp256k1.pem":           "has an ECDSA key on secp256k1, " + kinds,
		"secp256k1-public.pem":    "has an ECDSA key on secp256k1, " + kinds,
		"p224.pem":                "has an ECDSA key on P-224, " + kinds,
		"dsa-public.pem":          "has a DSA key, " + kinds,
		"":                        "is a directory",
		"none.pem":                "no such file or directory",
	} {
		_, private := signingkey.LoadPrivateKey(keyFile(name))
		_, public := signingkey.LoadPublicKeys(keyFile(name))
		for reader, err := range map[string]error{"LoadPrivateKey": private, "LoadPublicKeys": public} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), keyFile(name)) {
				t.Errorf("%s of %s: error %v, want it to name the file and say %q", reader, name, err, want)
			}
		}
	}
	if _, err := signingkey.LoadPrivateKey(keyFile("rsa-1024.pem")); err == nil || !strings.Contains(err.Error(), "has 1024 bits; at least 2048 are needed") {
		t.Errorf("a short RSA key: %v", err)
	}
}

// A block that is damaged or has no use is an error.
func TestRefusedBlocks(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(keyFile(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	ec, public := read("ec-pkcs8.pem"), read("rsa-public.pem")
	for name, test := range map[string]struct{ content, public, private string }{
		"empty":                     {content: "", public: "is empty", private: "is empty"},
		"white space":               {content: " \r\n", public: "is empty", private: "is empty"},
		"garbage":                   {content: "key", public: "holds no key in PEM", private: "holds no key in PEM"},
		"JSON":                      {content: `{"kty":"EC"}`, public: "such as a JSON Web Key", private: "such as a JSON Web Key"},
		"UTF-16":                    {content: "\xff\xfe-\x00-\x00", public: "is text in UTF-16", private: "is text in UTF-16"},
		"cut off":                   {content: ec + public[:100], public: "the block in line 6 can't be decoded", private: "the block in line 6 can't be decoded"},
		"cut off, others behind it": {content: public[:100] + "\n" + ec, public: "the block in line 1 can't be decoded", private: "the block in line 1 can't be decoded"},
		"indented":                  {content: strings.ReplaceAll("\n"+ec, "\n", "\n  "), public: "the block in line 2 can't be decoded: it is cut off, indented", private: "the block in line 2"},
		"not a key": {
			content: ec + "-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n",
			public:  "the DH PARAMETERS in line 6 is no key and no certificate that can be read", private: "the DH PARAMETERS in line 6",
		},
		"a damaged key":      {content: "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", public: "the PRIVATE KEY in line 1 is no key", private: "is no key"},
		"two private keys":   {content: ec + read("rsa-pkcs1.pem"), private: "holds two private keys (the PRIVATE KEY in line 1 and the RSA PRIVATE KEY in line 6), and only one can sign"},
		"another's half":     {content: public + ec, private: "holds a key (the PUBLIC KEY in line 1) that is not the public half of the private one (the PRIVATE KEY in line 10)"},
		"a usable and a not": {content: ec + read("ed25519.pem"), public: "the PRIVATE KEY in line 6 has an Ed25519 key", private: "the PRIVATE KEY in line 6 has an Ed25519 key"},
	} {
		path := filepath.Join(t.TempDir(), "keys.pem")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, private := signingkey.LoadPrivateKey(path)
		_, public := signingkey.LoadPublicKeys(path)
		for _, got := range []struct {
			reader, want string
			err          error
		}{{"LoadPrivateKey", test.private, private}, {"LoadPublicKeys", test.public, public}} {
			switch {
			case got.want == "" && got.err == nil:
			case got.want == "" || got.err == nil || !strings.Contains(got.err.Error(), path) || !strings.Contains(got.err.Error(), got.want):
				t.Errorf("%s, %s: error %v, want %q", name, got.reader, got.err, got.want)
			}
		}
	}
}
