package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// EdDSA is the algorithm of Ed25519 keys (RFC 8037 section 3.1).
const EdDSA = "EdDSA"

// DefaultAlgorithm signs the tokens for which no other algorithm is asked.
const DefaultAlgorithm = "ES256"

// signingAlgorithms are those of managed keys, in the order in which errors name them.
var signingAlgorithms = []string{"ES256", "ES384", "ES512", "RS256", EdDSA}

// CheckAlgorithm returns an error unless managed keys can be of an algorithm.
func CheckAlgorithm(algorithm string) error {
	if slices.Contains(signingAlgorithms, algorithm) {
		return nil
	}
	return fmt.Errorf("no key can be made for the algorithm %q: it must be one of %s", algorithm, strings.Join(signingAlgorithms, ", "))
}

// rsaBits is the length of the RSA keys that are made: every relying party takes it, and longer keys sign slowly.
const rsaBits = 2048

// Generate makes a private key for an algorithm.
func Generate(algorithm string) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	switch algorithm {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		return nil, CheckAlgorithm(algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", algorithm, err)
	}
	return key, nil
}

// Describe returns the object of a key, without a name and without the plan of its life. Its algorithm, key id and PEM follow
// from the public half alone.
func Describe(public crypto.PublicKey) (*v1alpha1.SigningKey, error) {
	if key, ok := public.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return nil, fmt.Errorf("the RSA key has %d bits; at least %d are needed: make a new key", key.N.BitLen(), minRSABits)
	}
	algorithm, err := algorithmFor(public)
	if err != nil {
		return nil, err
	}
	id, err := KeyID(public)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	key := &v1alpha1.SigningKey{}
	key.Spec.Algorithm = algorithm
	key.Spec.KeyID = id
	key.Spec.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return key, nil
}

// PlanKey writes into an object that its key is published from now on and signs when the lead time is over. With a lead
// time of 0 it signs at once. Stored times have no fractions, so the turn is rounded up: the key is published for the whole
// of its lead.
func PlanKey(key *v1alpha1.SigningKey, now time.Time, lead time.Duration) {
	published := metav1.NewTime(now.UTC().Truncate(time.Second))
	signs := metav1.NewTime(published.Add(lead))
	if lead > 0 {
		signs = metav1.NewTime(now.UTC().Add(lead + time.Second - 1).Truncate(time.Second))
	}
	key.Spec.LeadTime = &metav1.Duration{Duration: lead}
	key.Spec.PublishedFrom, key.Spec.SignsFrom = &published, &signs
}

// EncodePrivate returns a private key as PEM (PKCS #8).
func EncodePrivate(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// SecretName returns the name under which the private half of a stored key is kept.
func SecretName(objectName string) string { return "signingkeys/" + objectName }

// ParsePrivate returns the private key in a PEM text, as LoadPrivateKey does with a file; it takes Ed25519 keys as well.
// Errors name the text with where.
func ParsePrivate(text []byte, where string) (crypto.Signer, error) {
	found, err := readKeys(text, where, "a valid private key")
	if err != nil {
		return nil, err
	}
	return privateOf(found, where)
}

// ParsePublic returns the one public key in a PEM text: a public key, or that of a certificate. Errors name the text with
// where.
func ParsePublic(text []byte, where string) (crypto.PublicKey, error) {
	found, err := readKeys(text, where, "a valid public key")
	if err != nil {
		return nil, err
	}
	public := publicOf(found)
	if len(public) > 1 {
		return nil, fmt.Errorf("%s holds %d keys: give each of them by itself", where, len(public))
	}
	return public[0], nil
}
