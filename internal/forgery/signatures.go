package forgery

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// stranger returns a key that the server does not know.
func stranger() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// byStranger returns the token with another header, signed by a key that the server does not know. change completes the header.
func (t *token) byStranger(change func(header object, public jose.JSONWebKey)) (string, error) {
	key, err := stranger()
	if err != nil {
		return "", err
	}
	header, err := decode(t.header)
	if err != nil {
		return "", err
	}
	header.set("alg", jose.ES256)
	change(header, jose.JSONWebKey{Key: key.Public(), KeyID: "another-key", Algorithm: string(jose.ES256), Use: "sig"})
	head, err := header.encode()
	if err != nil {
		return "", err
	}
	text := head + "." + t.payload
	signature, err := sign(key, text)
	return text + "." + signature, err
}

// sign returns an ES256 signature.
func sign(key *ecdsa.PrivateKey, text string) (string, error) {
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

func (t *token) wrongKey(context.Context) (string, error) {
	return t.byStranger(func(header object, public jose.JSONWebKey) { header.set("kid", public.KeyID) })
}

func (t *token) keyIDOfAnother(context.Context) (string, error) {
	return t.byStranger(func(object, jose.JSONWebKey) {})
}

func (t *token) noKeyID(context.Context) (string, error) {
	return t.byStranger(func(header object, _ jose.JSONWebKey) { delete(header, "kid") })
}

func (t *token) embeddedKey(context.Context) (string, error) {
	return t.byStranger(func(header object, public jose.JSONWebKey) {
		delete(header, "kid")
		header.set("jwk", public)
	})
}

func (t *token) embeddedCertificate(context.Context) (string, error) {
	var err error
	forged, failed := t.byStranger(func(header object, public jose.JSONWebKey) {
		delete(header, "kid")
		var der []byte
		der, err = certificate(public.Key)
		header.set("x5c", []string{base64.StdEncoding.EncodeToString(der)})
	})
	return forged, errors.Join(err, failed)
}

// certificate returns a certificate for a public key, in the name of a made-up authority.
func certificate(public any) ([]byte, error) {
	authority, err := stranger()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another-issuer.invalid"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	return x509.CreateCertificate(rand.Reader, template, template, public, authority)
}

func (t *token) keyURL(context.Context) (string, error) {
	return t.byStranger(func(header object, _ jose.JSONWebKey) { header.set("jku", "https://another-issuer.invalid/jwks") })
}

// withHeader returns the token with members of its header changed. sign signs header and payload.
func (t *token) withHeader(change func(object), sign func(text string) (string, error)) (string, error) {
	header, err := decode(t.header)
	if err != nil {
		return "", err
	}
	change(header)
	head, err := header.encode()
	if err != nil {
		return "", err
	}
	text := head + "." + t.payload
	signature, err := sign(text)
	return text + "." + signature, err
}

func (t *token) algorithmNone(context.Context) (string, error) {
	return t.withHeader(func(header object) { header.set("alg", "none") }, func(string) (string, error) { return "", nil })
}

func (t *token) tamperedHeader(context.Context) (string, error) {
	return t.withHeader(func(header object) { header.set("typ", "JWT") }, t.keep)
}

func (t *token) criticalHeader(context.Context) (string, error) {
	return t.withHeader(func(header object) {
		header.set("crit", []string{"https://another-issuer.invalid/extension"})
		header.set("https://another-issuer.invalid/extension", true)
	}, t.keep)
}

func (t *token) unencodedPayload(context.Context) (string, error) {
	return t.withHeader(func(header object) {
		header.set("b64", false)
		header.set("crit", []string{"b64"})
	}, t.keep)
}

func (t *token) wrongAlgorithm(context.Context) (string, error) {
	return t.withHeader(func(header object) {
		other := jose.RS256
		if string(header["alg"]) == `"RS256"` {
			other = jose.ES256
		}
		header.set("alg", other)
	}, t.keep)
}

func (t *token) padded(context.Context) (string, error) {
	signature, err := base64.RawURLEncoding.DecodeString(t.signature)
	padded := base64.URLEncoding.EncodeToString(signature)
	if padded == t.signature {
		padded += "===="
	}
	return t.header + "." + t.payload + "." + padded, err
}

func (t *token) keep(string) (string, error) { return t.signature, nil }

func (t *token) hmacWithPublicKey(context.Context) (string, error) {
	published, err := t.forger.KeySet()
	if err != nil {
		return "", err
	}
	set := jose.JSONWebKeySet{}
	if err := json.Unmarshal(published, &set); err != nil {
		return "", err
	}
	if len(set.Keys) == 0 {
		return "", errors.New("the server publishes no key")
	}
	der, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	if err != nil {
		return "", err
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return t.withHeader(func(header object) { header.set("alg", jose.HS256) }, func(text string) (string, error) {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
	})
}

func (t *token) noSignature(context.Context) (string, error) {
	return t.header + "." + t.payload + ".", nil
}

func (t *token) truncatedSignature(context.Context) (string, error) {
	signature, err := base64.RawURLEncoding.DecodeString(t.signature)
	return t.header + "." + t.payload + "." + base64.RawURLEncoding.EncodeToString(signature[:len(signature)/2]), err
}

func (t *token) tamperedPayload(context.Context) (string, error) {
	payload, err := decode(t.payload)
	if err != nil {
		return "", err
	}
	payload.account("another-account")
	changed, err := payload.encode()
	return t.header + "." + changed + "." + t.signature, err
}

func (t *token) twoSignatures(context.Context) (string, error) {
	key, err := stranger()
	if err != nil {
		return "", err
	}
	second, err := sign(key, t.header+"."+t.payload)
	if err != nil {
		return "", err
	}
	form := object{}
	form.set("payload", t.payload)
	form.set("signatures", []map[string]string{{"protected": t.header, "signature": t.signature}, {"protected": t.header, "signature": second}})
	data, err := json.Marshal(form)
	return string(data), err
}

func (t *token) fiveParts(context.Context) (string, error) {
	return t.good + "." + t.payload + "." + t.signature, nil
}

func (t *token) revoked(ctx context.Context) (string, error) {
	return t.good, t.forger.Revoke(ctx, t.good)
}
