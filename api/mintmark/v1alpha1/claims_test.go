package v1alpha1_test

import (
	"reflect"
	"strings"
	"testing"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// A field that the structured configuration gains in a later version is missing here until this test is heard.
func TestClaimTypesAreThoseOfTheStructuredConfiguration(t *testing.T) {
	for _, test := range []struct{ ours, upstream any }{
		{v1alpha1.ClaimValidationRule{}, apiserverv1.ClaimValidationRule{}},
		{v1alpha1.ClaimMappings{}, apiserverv1.ClaimMappings{}},
		{v1alpha1.UserValidationRule{}, apiserverv1.UserValidationRule{}},
	} {
		sameFields(t, reflect.TypeOf(test.ours), reflect.TypeOf(test.upstream))
	}
	// egressSelectorType is left out: it names networks of a cluster's control plane.
	for _, name := range []string{"URL", "CertificateAuthority", "Audiences", "AudienceMatchPolicy", "DiscoveryURL"} {
		ours, _ := reflect.TypeOf(v1alpha1.TrustedIssuerSpec{}).FieldByName(name)
		upstream, _ := reflect.TypeOf(apiserverv1.Issuer{}).FieldByName(name)
		if jsonName(ours) != jsonName(upstream) {
			t.Errorf("spec has %q, the structured configuration's issuer %q", jsonName(ours), jsonName(upstream))
		}
	}
	for _, name := range []string{"ClaimValidationRules", "ClaimMappings", "UserValidationRules"} {
		ours, _ := reflect.TypeOf(v1alpha1.TrustedIssuerSpec{}).FieldByName(name)
		upstream, _ := reflect.TypeOf(apiserverv1.JWTAuthenticator{}).FieldByName(name)
		if jsonName(ours) != jsonName(upstream) {
			t.Errorf("spec has %q, the structured configuration %q", jsonName(ours), jsonName(upstream))
		}
	}
	if string(v1alpha1.AudienceMatchPolicyMatchAny) != string(apiserverv1.AudienceMatchPolicyMatchAny) {
		t.Errorf("the policy is %q", v1alpha1.AudienceMatchPolicyMatchAny)
	}
}

func sameFields(t *testing.T, ours, upstream reflect.Type) {
	t.Helper()
	if ours.Kind() != upstream.Kind() {
		t.Errorf("%s is a %s, upstream a %s", ours, ours.Kind(), upstream.Kind())
		return
	}
	switch ours.Kind() {
	case reflect.Pointer, reflect.Slice:
		sameFields(t, ours.Elem(), upstream.Elem())
	case reflect.Struct:
		if ours.NumField() != upstream.NumField() {
			t.Errorf("%s has %d fields, upstream %d", ours, ours.NumField(), upstream.NumField())
			return
		}
		for i := range ours.NumField() {
			if jsonName(ours.Field(i)) != jsonName(upstream.Field(i)) || ours.Field(i).Name != upstream.Field(i).Name {
				t.Errorf("field %d of %s is %q, upstream %q", i, ours, jsonName(ours.Field(i)), jsonName(upstream.Field(i)))
			}
			sameFields(t, ours.Field(i).Type, upstream.Field(i).Type)
		}
	default:
	}
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}
