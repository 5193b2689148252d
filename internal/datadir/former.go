package datadir

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Former holds the certificate authorities that an older version kept in the directory. They belong into the store now.
type Former struct {
	// Authorities are those in ca.crt if ca.key is there as well.
	Authorities []FormerAuthority
	// Copy holds the certificates in ca.crt if there is no ca.key. They are a copy of what is in a store.
	Copy []*x509.Certificate

	crt, key string
}

// FormerAuthority is a certificate authority of an older version.
type FormerAuthority struct {
	Certificate *x509.Certificate
	// Key is nil if the authority was trusted only.
	Key crypto.Signer
}

// Lost is the error of a store that knows none of the authorities of a Copy.
func (f *Former) Lost() error {
	return fmt.Errorf("%s is useless without its key, and the key is neither in the store nor in %s, which is missing: "+
		"name the store that this directory was used with, restore the store or put %[2]s back from a backup, "+
		"or remove %[1]s to start with another authority, whose %s every client then has to be given", f.crt, f.key, CACertificate)
}

// Former reads the authorities of an older version. It finds a lost ca.crt again in the files that were made with it.
func (d *Dir) Former() (Former, error) {
	former := Former{crt: d.Path(CACertificate), key: d.Path(caKey)}
	keys, err := d.read(caKey)
	if err != nil {
		return Former{}, err
	}
	bundle, err := d.read(CACertificate)
	if err != nil {
		return Former{}, err
	}
	if keys == nil {
		// A text without certificates is no copy.
		former.Copy, _ = cert.ParseCertsPEM(bundle)
		return former, nil
	}
	if bundle == nil {
		if bundle = d.recoverAuthority(keys); bundle == nil {
			return former, nil // of a first start that was interrupted
		}
	}
	former.Authorities, err = d.pairAuthorities(bundle, keys)
	return former, err
}

// ForgetFormer removes the keys of the authorities of an older version, once the store holds them.
func (d *Dir) ForgetFormer() error { return d.Remove(caKey) }

// pairAuthorities finds the key of each certificate.
func (d *Dir) pairAuthorities(bundle, keysPEM []byte) ([]FormerAuthority, error) {
	crt, key := d.Path(CACertificate), d.Path(caKey)
	certificates, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return nil, fmt.Errorf("%s holds no certificate; put it back from a backup: %w", crt, err)
	}
	remedy := fmt.Sprintf("put the key back from a backup, or remove both files to go on without that authority; every client then has to be given the %s of the next start", CACertificate)
	keys, err := parseKeys(keysPEM)
	if err != nil {
		return nil, fmt.Errorf("%s can't be used: %w: %s", key, err, remedy)
	}
	var all []FormerAuthority
	paired := false
	for _, certificate := range certificates {
		found := FormerAuthority{Certificate: certificate}
		if i := slices.IndexFunc(keys, func(key crypto.Signer) bool { return samePublic(key.Public(), certificate.PublicKey) }); i >= 0 {
			if !certificate.IsCA {
				return nil, fmt.Errorf("%s holds a certificate that is no authority's (%s): put one there that is", crt, certificate.Subject)
			}
			found.Key, paired = keys[i], true
		}
		all = append(all, found)
	}
	if !paired {
		return nil, fmt.Errorf("%s is not the key of %s: %s", key, crt, remedy)
	}
	return all, nil
}

// recoverAuthority finds the certificates of lost authorities, by their keys, in the files that were made with them.
func (d *Dir) recoverAuthority(keys []byte) []byte {
	signers, err := parseKeys(keys)
	if err != nil {
		return nil
	}
	bundle, err := d.read(servingCrt)
	if err != nil {
		bundle = nil
	}
	if data, err := d.read(AdminKubeconfig); err == nil {
		if config, err := clientcmd.Load(data); err == nil {
			for _, cluster := range config.Clusters {
				bundle = append(bundle, cluster.CertificateAuthorityData...)
			}
		}
	}
	var found []byte
	certificates, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return nil
	}
	for _, certificate := range certificates {
		fits := func(key crypto.Signer) bool { return samePublic(key.Public(), certificate.PublicKey) }
		if encoded := encodeCertificate(certificate); selfSigned(certificate) && slices.ContainsFunc(signers, fits) && !bytes.Contains(found, encoded) {
			found = append(found, encoded...)
		}
	}
	return found
}

// parseKeys reads all private keys of a PEM text.
func parseKeys(text []byte) ([]crypto.Signer, error) {
	var keys []crypto.Signer
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "EC PARAMETERS" {
			continue
		}
		key, err := keyutil.ParsePrivateKeyPEM(pem.EncodeToMemory(block))
		if err != nil {
			return nil, fmt.Errorf("its block %q is not read: it must be a private key in PEM, not encrypted", block.Type)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("its block %q holds a key that can't sign", block.Type)
		}
		keys = append(keys, signer)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("it holds no private key in PEM")
	}
	return keys, nil
}
