package datadir

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	caLife = 10 * 365 * 24 * time.Hour
	// caOverlap is how long before its end an authority is succeeded by another one. Both are trusted until then. A
	// certificate lives for a shorter time, so none outlives the authority that signed it.
	caOverlap = 2 * leafLife
)

// authority is one certificate authority of a data directory.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// authorities are all certificate authorities of a data directory. Client certificates of each are accepted.
type authorities struct {
	// signer is the authority that signs.
	signer *authority
	// others have a key here as well: the predecessors of the signer.
	others []*authority
	// pem holds the certificates, that of the signer first if this process made it.
	pem []byte
	// keys holds the private keys.
	keys []byte
}

// authorities reads the certificate authorities and adds one if none is valid or the signing one nears its end.
func (d *Dir) authorities(now time.Time) (all *authorities, made bool, err error) {
	all = &authorities{}
	if all.keys, err = d.read(caKey); err != nil {
		return nil, false, err
	}
	if all.pem, err = d.read(CACertificate); err != nil {
		return nil, false, err
	}
	if all.pem == nil && all.keys != nil {
		if all.pem = d.recoverAuthority(all.keys); all.pem != nil {
			made = true
			if err := d.write(CACertificate, all.pem, publicMode); err != nil {
				return nil, false, err
			}
		}
	}
	if all.pem == nil {
		all.keys = nil // of a first start that was interrupted
	} else if err := d.pairAuthorities(all, now); err != nil {
		return nil, false, err
	}
	if all.signer != nil && !all.signer.ends(now) {
		return all, made, nil
	}
	return all, true, d.addAuthority(all, now)
}

// pairAuthorities finds the key of each certificate. The signer is the valid one that lasts longest.
func (d *Dir) pairAuthorities(all *authorities, now time.Time) error {
	crt, key := d.Path(CACertificate), d.Path(caKey)
	certificates, err := cert.ParseCertsPEM(all.pem)
	if err != nil {
		return fmt.Errorf("%s holds no certificate; put it back from a backup: %w", crt, err)
	}
	remedy := fmt.Sprintf("put the key back from a backup, or remove both files to start with a new authority, whose %s every client then has to be given", CACertificate)
	if all.keys == nil {
		return fmt.Errorf("%s is useless without its key, and %s is missing: %s", crt, key, remedy)
	}
	keys, err := parseKeys(all.keys)
	if err != nil {
		return fmt.Errorf("%s can't be used: %w: %s", key, err, remedy)
	}
	paired := false
	for _, certificate := range certificates {
		i := slices.IndexFunc(keys, func(key crypto.Signer) bool { return samePublic(key.Public(), certificate.PublicKey) })
		if i < 0 {
			continue
		}
		if !certificate.IsCA {
			return fmt.Errorf("%s holds a certificate that is no authority's (%s): put one there that is", crt, certificate.Subject)
		}
		paired = true
		a := &authority{certificate: certificate, key: keys[i]}
		switch {
		case !a.valid(now):
		case all.signer == nil:
			all.signer = a
		case a.certificate.NotAfter.After(all.signer.certificate.NotAfter):
			all.others, all.signer = append(all.others, all.signer), a
		default:
			all.others = append(all.others, a)
		}
	}
	if !paired {
		return fmt.Errorf("%s is not the key of %s: %s", key, crt, remedy)
	}
	return nil
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

// addAuthority makes an authority that signs from now on. Those that are there stay trusted.
func (d *Dir) addAuthority(all *authorities, now time.Time) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("mintmark-ca@%d", now.Unix())},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := issue(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if all.signer != nil {
		all.others = append(all.others, all.signer)
	}
	all.signer = &authority{certificate: certificate, key: key}
	all.pem, all.keys = slices.Concat(encodeCertificate(certificate), all.pem), slices.Concat(keyPEM, all.keys)
	// The key first: a certificate without its key would stop the next start.
	if err := d.write(caKey, all.keys, privateMode); err != nil {
		return err
	}
	return d.write(CACertificate, all.pem, publicMode)
}

// crossSigned returns the signer's certificate, signed by each of its predecessors. In the chain of a server it leads
// clients that know only a predecessor to the signer.
func (all *authorities) crossSigned() ([]byte, error) {
	var encoded []byte
	for _, other := range all.others {
		own := all.signer.certificate
		template := &x509.Certificate{
			Subject: own.Subject, SubjectKeyId: own.SubjectKeyId,
			NotBefore: own.NotBefore, NotAfter: earlier(own.NotAfter, other.certificate.NotAfter),
			KeyUsage: own.KeyUsage, BasicConstraintsValid: true, IsCA: true,
		}
		certificate, err := issue(template, other.certificate, own.PublicKey, other.key)
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, encodeCertificate(certificate)...)
	}
	return encoded, nil
}

func (a *authority) valid(now time.Time) bool {
	return !now.Before(a.certificate.NotBefore) && now.Before(a.certificate.NotAfter)
}

// ends reports whether it is time for a successor.
func (a *authority) ends(now time.Time) bool {
	life := a.certificate.NotAfter.Sub(a.certificate.NotBefore)
	return !now.Add(min(caOverlap, life/5)).Before(a.certificate.NotAfter)
}

// issueLeaf makes a key and its certificate, which ends with the authority at the latest.
func (a *authority) issueLeaf(template *x509.Certificate) (*x509.Certificate, []byte, error) {
	template.NotAfter = earlier(template.NotAfter, a.certificate.NotAfter)
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	certificate, err := issue(template, a.certificate, key.Public(), a.key)
	return certificate, keyPEM, err
}

// stands reports whether a certificate is of this authority, valid now and for a while.
func (a *authority) stands(behind *x509.Certificate, now time.Time) bool {
	margin := min(renewBefore, behind.NotAfter.Sub(behind.NotBefore)/3)
	return behind.CheckSignatureFrom(a.certificate) == nil && !now.Before(behind.NotBefore) && now.Add(margin).Before(behind.NotAfter)
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
