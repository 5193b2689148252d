package conformance

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Forge makes a token that the server did not issue, from an issued one or from nothing.
type Forge struct {
	From   string         `json:"from,omitempty"`   // token to start from
	Header map[string]any `json:"header,omitempty"` // merged over its header; null deletes
	Claims map[string]any `json:"claims,omitempty"` // merged over its claims; "now+60" becomes a time
	Sign   string         `json:"sign"`             // how to sign, one of the words below
	Key    string         `json:"key,omitempty"`    // with sign "key": NAME.key in Target.Files
	Into   string         `json:"into"`             // variable that takes the result
}

// Ways to sign a forged token.
const (
	signServer  = "server"  // with Target.SigningKey
	signOther   = "other"   // with a fresh P-256 key that the server does not know
	signKey     = "key"     // with the key that Forge.Key names, its key id and usual algorithm unless the header differs
	signKeep    = "keep"    // keep the signature of the token it was made from
	signFlip    = "flip"    // keep it, but for one bit
	signNothing = "nothing" // empty signature
	signHMAC    = "hmac"    // HMAC-SHA-256 with a guessable secret
)

// forge makes the token that f describes.
func (s *session) forge(f *Forge) (string, error) {
	from, err := s.expand(f.From)
	if err != nil {
		return "", err
	}
	header, claims := map[string]any{}, map[string]any{}
	if from != "" {
		if header, claims, err = decodeJWT(from); err != nil {
			return "", err
		}
	}
	key, err := s.forgeKey(f)
	if err != nil {
		return "", err
	}
	if key != nil {
		header["alg"] = defaultAlgorithm(key.Public())
	}
	if key != nil && f.Sign != signOther { // a stranger's token claims to be signed by the key of the original
		if header["kid"], err = keyID(key.Public()); err != nil {
			return "", err
		}
	}
	if err := errors.Join(s.merge(header, f.Header), s.merge(claims, f.Claims)); err != nil {
		return "", err
	}
	head, err1 := json.Marshal(header)
	payload, err2 := json.Marshal(claims)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	text := encode(head) + "." + encode(payload)
	signature, err := f.signature(key, text, from[strings.LastIndex(from, ".")+1:])
	return text + "." + signature, err
}

// forgeKey finds the private key that a forged token is signed with, nil if none is.
func (s *session) forgeKey(f *Forge) (crypto.Signer, error) {
	switch f.Sign {
	case signServer:
		if s.SigningKey == nil {
			return nil, errors.New("the target has no signing key")
		}
		return s.SigningKey, nil
	case signOther:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case signKey:
		file, err := s.file(f.Key + ".key")
		if err != nil {
			return nil, err
		}
		return readKey(file)
	}
	return nil, nil
}

// signature signs text with key, or alters the original token's signature.
func (f *Forge) signature(key crypto.Signer, text, original string) (string, error) {
	switch f.Sign {
	case signServer, signOther:
		return sign(key, defaultAlgorithm(key.Public()), text)
	case signKey:
		asked, _ := f.Header["alg"].(string)
		return sign(key, cmp.Or(asked, defaultAlgorithm(key.Public())), text)
	case signKeep:
		return original, nil
	case signFlip:
		raw, err := decode(original)
		if err != nil || len(raw) == 0 {
			return "", errors.New("the original has no signature to change")
		}
		raw[len(raw)/2] ^= 1
		return encode(raw), nil
	case signNothing:
		return "", nil
	case signHMAC:
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write([]byte(text))
		return encode(mac.Sum(nil)), nil
	}
	return "", fmt.Errorf("unknown way to sign %q", f.Sign)
}

var relativeTime = regexp.MustCompile(`^now([+-]\d+)?$`)

// merge puts the members of from over those of into; objects are merged in turn, null deletes, variables are filled in.
func (s *session) merge(into, from map[string]any) error {
	for name, value := range from {
		switch v := value.(type) {
		case nil:
			delete(into, name)
			continue
		case map[string]any:
			inner, ok := into[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
			}
			if err := s.merge(inner, v); err != nil {
				return err
			}
			value = inner
		case string:
			text, err := s.expand(v)
			if err != nil {
				return err
			}
			value = text
			if m := relativeTime.FindStringSubmatch(text); m != nil {
				shift, _ := strconv.Atoi(m[1]) // nothing for a plain "now"
				value = time.Now().Unix() + int64(shift)
			}
		}
		into[name] = value
	}
	return nil
}
