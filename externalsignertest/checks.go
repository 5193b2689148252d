package externalsignertest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

// connectLimit is how long a signer may take to accept a connection.
const connectLimit = 10 * time.Second

// limits are how long kube-apiserver waits for an answer. A token request ends after 34 seconds.
var limits = map[string]time.Duration{"Metadata": 10 * time.Second, "FetchKeys": time.Minute, "Sign": 34 * time.Second}

const (
	// minLife is the shortest longest life of a token, in seconds, with which kube-apiserver starts.
	minLife = 600
	// maxLife is where kube-apiserver's durations end, in seconds.
	maxLife = math.MaxInt64 / int64(time.Second)
	// maxKeyID is the longest key id.
	maxKeyID = 1024
	// clockSkew is how far ahead a clock of the same machine may seem.
	clockSkew = 10 * time.Second
)

// checks returns all checks, in the order in which they are made.
func checks(socket string) []check {
	return append([]check{
		{"socket/connects", "The socket accepts a connection.", func(s *suite) error { return s.connect(socket) }},
		{"metadata/answers", "Metadata answers within 10 seconds.", (*suite).checkMetadata},
		{"metadata/max-token-expiration", "max_token_expiration_seconds is at least 600.", (*suite).checkMaxExpiration},
		{"keys/answers", "FetchKeys answers within 60 seconds.", (*suite).checkFetch},
		{"keys/refresh-hint", "refresh_hint_seconds is greater than 0.", (*suite).checkRefreshHint},
		{"keys/data-timestamp", "data_timestamp is a valid time that is not in the future.", (*suite).checkTimestamp},
		{"keys/present", "There is a key that is in the OIDC discovery documents.", (*suite).checkPresent},
		{"keys/ids", "Each key has an id of 1 to 1024 bytes, and no two have the same.", (*suite).checkIDs},
		{"keys/public-keys", "Each key is a public key in PKIX (DER): RSA, or ECDSA on P-256, P-384 or P-521.", (*suite).checkPublicKeys},
	}, append(signChecks(),
		check{"keys/changes", "data_timestamp does not go back, and moves when a key, an id, the order or a flag changes.", (*suite).checkChanges},
		check{"v1alpha1/keys", "v1alpha1, if it is served, has the keys of v1.", (*suite).checkAlphaKeys},
		check{"v1alpha1/sign", "v1alpha1, if it is served, signs as v1 does.", (*suite).checkAlphaSign},
	)...)
}

func (s *suite) checkMetadata() (err error) {
	s.metadata, err = call[externaljwtv1.MetadataResponse](s, v1, "Metadata", &externaljwtv1.MetadataRequest{})
	return err
}

func (s *suite) checkMaxExpiration() error {
	if s.metadata == nil {
		return skipped("Metadata did not answer")
	}
	switch life := s.metadata.MaxTokenExpirationSeconds; {
	case life < minLife:
		return fmt.Errorf("it is %d: kube-apiserver does not start", life)
	case life > maxLife:
		return fmt.Errorf("it is %d, which is more than kube-apiserver can count (%d)", life, maxLife)
	}
	return nil
}

func (s *suite) checkFetch() (err error) {
	s.first, err = call[externaljwtv1.FetchKeysResponse](s, v1, "FetchKeys", &externaljwtv1.FetchKeysRequest{})
	return err
}

// errNoKeys skips what needs keys.
const errNoKeys = skipped("FetchKeys did not answer")

func (s *suite) checkRefreshHint() error {
	if s.first == nil {
		return errNoKeys
	}
	if hint := s.first.RefreshHintSeconds; hint <= 0 || hint > maxLife {
		return fmt.Errorf("it is %d: kube-apiserver refuses the whole answer", hint)
	}
	return nil
}

func (s *suite) checkTimestamp() error {
	if s.first == nil {
		return errNoKeys
	}
	if s.first.DataTimestamp == nil {
		return errors.New("there is none: kube-apiserver refuses the whole answer")
	}
	if err := s.first.DataTimestamp.CheckValid(); err != nil {
		return err
	}
	switch at := s.first.DataTimestamp.AsTime(); {
	case at.After(time.Now().Add(clockSkew)):
		return fmt.Errorf("%s is in the future", at.Format(time.RFC3339))
	case at.Unix() <= 0:
		return fmt.Errorf("%s is no time at which keys were read", at.Format(time.RFC3339))
	}
	return nil
}

func (s *suite) checkPresent() error {
	if s.first == nil {
		return errNoKeys
	}
	for _, key := range s.first.Keys {
		if !key.GetExcludeFromOidcDiscovery() {
			return nil
		}
	}
	if len(s.first.Keys) > 0 {
		return fmt.Errorf("exclude_from_oidc_discovery is set for each of the %d keys, so none may sign", len(s.first.Keys))
	}
	return errors.New("there are no keys: kube-apiserver refuses the whole answer")
}

func (s *suite) checkIDs() error {
	if s.first == nil {
		return errNoKeys
	}
	at := map[string]int{}
	for i, key := range s.first.Keys {
		id := key.GetKeyId()
		if id == "" || len(id) > maxKeyID {
			return fmt.Errorf("the id of key %d has %d bytes", i, len(id))
		}
		if other, found := at[id]; found {
			return fmt.Errorf("keys %d and %d have the id %s", other, i, quote(id))
		}
		at[id] = i
	}
	return nil
}

func (s *suite) checkPublicKeys() error {
	if s.first == nil {
		return errNoKeys
	}
	for i, key := range s.first.Keys {
		if _, err := parseKey(key.GetKey()); err != nil {
			return fmt.Errorf("key %d (%s) %w", i, quote(key.GetKeyId()), err)
		}
	}
	return nil
}

// checkChanges compares two answers of FetchKeys as kube-apiserver does.
func (s *suite) checkChanges() error {
	if s.first == nil || s.second == nil {
		return errNoKeys
	}
	before, after := s.first.DataTimestamp.AsTime(), s.second.DataTimestamp.AsTime()
	if after.Before(before) {
		return fmt.Errorf("it went back from %s to %s", before.Format(time.RFC3339Nano), after.Format(time.RFC3339Nano))
	}
	if after.Equal(before) && spell(s.first.Keys) != spell(s.second.Keys) {
		return errors.New("the keys changed and it did not: kube-apiserver may go on publishing the former ones")
	}
	return nil
}

// spell writes keys as a text, to be compared.
func spell(keys []*externaljwtv1.Key) string {
	var text strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&text, "%q %x %t\n", key.GetKeyId(), key.GetKey(), key.GetExcludeFromOidcDiscovery())
	}
	return text.String()
}

func (s *suite) checkAlphaKeys() error {
	keys, err := call[externaljwtv1.FetchKeysResponse](s, v1alpha1, "FetchKeys", &externaljwtv1.FetchKeysRequest{})
	if err := alphaError(err); err != nil {
		return err
	}
	again, err := call[externaljwtv1.FetchKeysResponse](s, v1, "FetchKeys", &externaljwtv1.FetchKeysRequest{})
	if err != nil {
		return errNoKeys
	}
	if spell(keys.Keys) != spell(again.Keys) {
		return fmt.Errorf("v1alpha1 has %d keys and v1 %d, and they are not the same in the same order", len(keys.Keys), len(again.Keys))
	}
	return nil
}

func (s *suite) checkAlphaSign() error {
	made, err := s.sign(v1alpha1, s.claims(minLife))
	if err := alphaError(err); err != nil {
		return err
	}
	return made.verify(s.second)
}

// alphaError returns the error of a call of v1alpha1. The version need not be there.
func alphaError(err error) error {
	if status.Code(err) == codes.Unimplemented {
		return skipped("v1alpha1 is not served: older kube-apiservers call it")
	}
	return err
}

// quote writes a text of the signer for a person: short, and without control characters.
func quote(text string) string {
	const most = 64
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
