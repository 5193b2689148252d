package externalsignertest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

// concurrentSigns is how many tokens are signed at once.
const concurrentSigns = 16

// longAudiences make claims of about 64 KiB.
const longAudiences = 1000

func signChecks() []check {
	return []check{
		{"sign/answers", "Sign answers within 34 seconds, the limit of a token request.", (*suite).checkSign},
		{"sign/header-encoding", "header is unpadded base64url.", onSigned(func(_ *suite, made *signed) error { _, err := decode(made.Header); return err })},
		{"sign/header-members", "header is a JSON object of alg, kid and typ alone.", onSigned(checkMembers)},
		{"sign/header-typ", `typ is "JWT".`, onHeader(checkType)},
		{"sign/header-kid", "kid has 1 to 1024 bytes.", onHeader(checkKeyID)},
		{"sign/header-alg", "alg is RS256, ES256, ES384 or ES512.", onHeader(checkAlgorithm)},
		{"sign/key-published", "kid is the id of a key of FetchKeys that is in the OIDC discovery documents.", onHeader(checkPublished)},
		{"sign/algorithm-fits-key", "alg is the algorithm of the key that kid names.", onHeader(checkFit)},
		{"sign/signature", "signature is unpadded base64url, and that of the key over header and claims, exactly as they were sent.", onHeader(checkSignature)},
		{"sign/claims-as-sent", "Claims are signed byte by byte, whatever their order, white space and characters.", (*suite).checkAsSent},
		{"sign/max-life", "A token of the longest life that Metadata tells is signed.", (*suite).checkMaxLife},
		{"sign/long-claims", "Claims of 64 KiB are signed.", (*suite).checkLong},
		{"sign/concurrent", "Of tokens that are signed at the same time each has its own signature.", (*suite).checkConcurrent},
	}
}

// signed is what Sign answered to claims.
type signed struct {
	*externaljwtv1.SignJWTResponse
	claims string
}

// header is the JOSE header of a token.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// claims returns the claims of a token, as kube-apiserver writes them.
func (s *suite) claims(seconds int64, audiences ...string) []byte {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it does not fail
	name := "externalsignertest-" + hex.EncodeToString(id[:])
	now := time.Now().Unix()
	text, err := json.Marshal(map[string]any{
		"iss": s.options.Issuer, "sub": "system:serviceaccount:default:" + name, "aud": append([]string{s.options.Audience}, audiences...),
		"iat": now, "nbf": now, "exp": now + seconds, "jti": name,
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": name, "uid": name}},
	})
	if err != nil {
		panic(err) // texts and numbers can be written
	}
	return text
}

// sign has claims signed.
func (s *suite) sign(version string, claims []byte) (*signed, error) {
	encoded := base64.RawURLEncoding.EncodeToString(claims)
	response, err := call[externaljwtv1.SignJWTResponse](s, version, "Sign", &externaljwtv1.SignJWTRequest{Claims: encoded})
	if err != nil {
		return nil, err
	}
	return &signed{response, encoded}, nil
}

// checkSign has the first token signed, and reads the keys afterwards: its key may be new.
func (s *suite) checkSign() error {
	made, err := s.sign(v1, s.claims(minLife))
	if err != nil {
		return err
	}
	s.signed = made
	s.second, err = call[externaljwtv1.FetchKeysResponse](s, v1, "FetchKeys", &externaljwtv1.FetchKeysRequest{})
	return err
}

// onSigned is a check of the first signature.
func onSigned(check func(*suite, *signed) error) func(*suite) error {
	return func(s *suite) error {
		if s.signed == nil {
			return skipped("Sign did not answer")
		}
		return check(s, s.signed)
	}
}

// onHeader is a check of the first signature and its header.
func onHeader(check func(*suite, *signed, header) error) func(*suite) error {
	return onSigned(func(s *suite, made *signed) error {
		h, err := made.header()
		if err != nil {
			return skipped("the header can't be read")
		}
		return check(s, made, h)
	})
}

func (m *signed) header() (h header, err error) {
	text, err := decode(m.Header)
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(text, &h)
}

// checkMembers reads the header as kube-apiserver does, and finds a member that is there twice.
func checkMembers(_ *suite, made *signed) error {
	text, err := decode(made.Header)
	if err != nil {
		return skipped("the header can't be decoded")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	for name := range members {
		if name != "alg" && name != "kid" && name != "typ" {
			return fmt.Errorf("it has the member %s", quote(name))
		}
	}
	decoder, names := json.NewDecoder(bytes.NewReader(text)), 0
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		default:
			if depth == 1 {
				names++
			}
		}
	}
	if names > 2*len(members) {
		return errors.New("it has a member twice")
	}
	return nil
}

func checkType(_ *suite, _ *signed, h header) error {
	if h.Type != "JWT" {
		return fmt.Errorf("it is %s: kube-apiserver refuses the token (bad type)", quote(h.Type))
	}
	return nil
}

func checkKeyID(_ *suite, _ *signed, h header) error {
	if h.KeyID == "" || len(h.KeyID) > maxKeyID {
		return fmt.Errorf("it has %d bytes", len(h.KeyID))
	}
	return nil
}

func checkAlgorithm(_ *suite, _ *signed, h header) error {
	if _, known := algorithms[h.Algorithm]; !known {
		return fmt.Errorf("it is %s: kube-apiserver refuses the token", quote(h.Algorithm))
	}
	return nil
}

func checkPublished(s *suite, _ *signed, h header) error {
	if s.second == nil {
		return errNoKeys
	}
	for _, key := range s.second.Keys {
		if key.GetKeyId() == h.KeyID && key.GetExcludeFromOidcDiscovery() {
			return fmt.Errorf("exclude_from_oidc_discovery is set for the key %s: kube-apiserver refuses the token", quote(h.KeyID))
		}
		if key.GetKeyId() == h.KeyID {
			return nil
		}
	}
	return fmt.Errorf("none of the %d keys has the id %s: nobody can verify the token", len(s.second.Keys), quote(h.KeyID))
}

func checkFit(s *suite, _ *signed, h header) error {
	key, err := keyOf(s.second, h.KeyID)
	if err != nil {
		return err
	}
	if fits := algorithmOf(key); fits != h.Algorithm {
		return fmt.Errorf("it is %s, and the key %s is for %s", quote(h.Algorithm), quote(h.KeyID), fits)
	}
	return nil
}

func checkSignature(s *suite, made *signed, h header) error {
	if _, err := keyOf(s.second, h.KeyID); err != nil {
		return err
	}
	return made.verify(s.second)
}

// checkAsSent has claims signed that no signer may write anew.
func (s *suite) checkAsSent() error {
	plain := strings.TrimSuffix(string(s.claims(minLife)), "}")
	claims := " {\n\t\"z\" : 9007199254740993 , \"a\":\"<é\\u00e9&>\", " + strings.TrimPrefix(plain, "{") + ` ,"m":1.0e0 }` + "\n"
	return s.signAndVerify([]byte(claims))
}

func (s *suite) checkMaxLife() error {
	if s.metadata == nil || s.metadata.MaxTokenExpirationSeconds > maxLife {
		return skipped("Metadata does not tell it")
	}
	return s.signAndVerify(s.claims(s.metadata.MaxTokenExpirationSeconds))
}

func (s *suite) checkLong() error {
	audiences := make([]string, longAudiences)
	for i := range audiences {
		audiences[i] = fmt.Sprintf("https://audience-%04d.conformance.invalid/%s", i, strings.Repeat("a", 20))
	}
	return s.signAndVerify(s.claims(minLife, audiences...))
}

func (s *suite) checkConcurrent() error {
	failures := make([]error, concurrentSigns)
	var running sync.WaitGroup
	for i := range failures {
		running.Go(func() { failures[i] = s.signAndVerify(s.claims(minLife, fmt.Sprintf("audience-%d", i))) })
	}
	running.Wait()
	for _, failure := range failures {
		if failure != nil {
			return failure
		}
	}
	return nil
}

// signAndVerify has claims signed and verifies the signature. A key that takes over meanwhile is looked up.
func (s *suite) signAndVerify(claims []byte) error {
	if s.signed == nil {
		return skipped("Sign did not answer")
	}
	made, err := s.sign(v1, claims)
	if err != nil {
		return err
	}
	keys, err := call[externaljwtv1.FetchKeysResponse](s, v1, "FetchKeys", &externaljwtv1.FetchKeysRequest{})
	if err != nil {
		return err
	}
	return made.verify(keys)
}
