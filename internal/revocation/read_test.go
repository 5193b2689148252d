package revocation

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/view"
)

// TestReadStored: the short way from the stored bytes leads to the same record as the whole object, or to none.
func TestReadStored(t *testing.T) {
	t.Parallel()
	s, key := NewSet(), view.Key{Name: "name"}
	account := &v1alpha1.ServiceAccountReference{Namespace: "ns", Name: "app"}
	for _, entry := range []spec{
		{},
		{CredentialID: "id"},
		{CredentialID: "id", Issuer: "https://theirs"},
		{TokenHash: "00ff"},
		{ServiceAccount: account, IssuedBefore: at(100)},
		{Subject: &v1alpha1.SubjectReference{Issuer: "i", Subject: "s"}, IssuedBefore: at(100)},
		{KeyID: "key", IssuedBefore: at(1)},
		{KeyID: "key", Issuer: "https://theirs", IssuedBefore: at(1)},
		{IssuedBefore: at(5), Reason: "leaked"},
	} {
		stored := &v1alpha1.TokenRevocation{TypeMeta: typeMeta, ObjectMeta: metav1.ObjectMeta{Name: key.Name, Labels: map[string]string{"a": "b"}}, Spec: entry}
		data, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := s.read(key, data); !ok || got != s.record(stored) {
			t.Errorf("%s: %v, %t", data, got, ok)
		}
	}
	for _, other := range []string{
		``, `{`, `[]`, `{"spec":{"credentialID":"id"}}`,
		`{"apiVersion":"mintmark.io/v1alpha1","kind":"SigningKey","metadata":{"name":"name"},"spec":{"credentialID":"id"}}`,
		`{"apiVersion":"mintmark.io/v1","kind":"TokenRevocation","metadata":{"name":"name"},"spec":{"credentialID":"id"}}`,
		`{"apiVersion":"mintmark.io/v1alpha1","kind":"TokenRevocation","metadata":{"name":"other"},"spec":{"credentialID":"id"}}`,
		`{"apiVersion":"mintmark.io/v1alpha1","kind":"TokenRevocation","metadata":{"name":"name"},"spec":{"credentialID":7}}`,
		`{"apiVersion":"mintmark.io/v1alpha1","kind":"TokenRevocation","metadata":{"name":"name"},"spec":{"credentialID":"id"}} {}`,
	} {
		if _, ok := s.read(key, []byte(other)); ok {
			t.Errorf("%s: read", other)
		}
	}
}
