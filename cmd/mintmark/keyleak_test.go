package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestNoPrivateKeyLeaks runs the program as talkative as it can be, sends it private keys in every way that there is to import
// one, and looks for them, and for parts of them, in logs, audit records, metrics and all answers.
func TestNoPrivateKeyLeaks(t *testing.T) {
	t.Parallel()
	l := newLeaks(t)
	planted := newPlantedKey(t)
	l.sendKey(planted.text)
	l.collect(http.MethodGet, "/metrics", "", nil, l.admin, true)
	l.stop()
	audit, err := os.ReadFile(l.auditLog)
	if err != nil || !bytes.Contains(audit, []byte(`"resource":"signingkeys"`)) {
		t.Fatalf("no audit records of signing keys: %v", err)
	}
	if !strings.Contains(l.answers.String(), "es384-1") {
		t.Fatal("the key was not imported")
	}
	for place, text := range map[string]string{"log": l.logs.String(), "audit log": string(audit), "answers": l.answers.String()} {
		for form, secret := range planted.forms {
			if at := findPart(text, secret); at >= 0 {
				t.Errorf("part of the key as %s in the %s: …%s…", form, place, text[max(0, at-200):max(0, at)])
			}
		}
	}
}

// plantedKey is a private key in the forms in which it could be found again.
type plantedKey struct {
	text  string
	forms map[string]string
}

func newPlantedKey(t *testing.T) plantedKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	// The end of the DER is the public half, which may be anywhere, and its beginning is the same in all keys.
	start := bytes.Index(der, scalar)
	if start < 0 {
		t.Fatal("the encoded key does not have its number in it")
	}
	forms := map[string]string{"bytes": string(scalar), "hexadecimal": hex.EncodeToString(scalar)}
	for shift := range 3 {
		part := der[start+shift : start+len(scalar)]
		part = part[:len(part)-len(part)%3]
		forms[fmt.Sprintf("base64, shifted by %d", shift)] = base64.StdEncoding.EncodeToString(part)
		forms[fmt.Sprintf("base64 for URLs, shifted by %d", shift)] = base64.RawURLEncoding.EncodeToString(part)
	}
	return plantedKey{string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), forms}
}

// sendKey sends a private key in good and bad requests with every verb.
func (l *leaks) sendKey(text string) {
	const path = "/apis/mintmark.io/v1alpha1/signingkeys"
	quoted, err := json.Marshal(text)
	if err != nil {
		l.t.Fatal(err)
	}
	object := func(meta, spec string) string {
		return `{"apiVersion":"mintmark.io/v1alpha1","kind":"SigningKey","metadata":` + meta + `,"spec":` + spec + `}`
	}
	key := `{"privateKey":` + string(quoted) + `}`
	applied, err := json.Marshal(object(`{"name":"es384-1"}`, key))
	if err != nil {
		l.t.Fatal(err)
	}
	good := object(`{"name":"es384-1","annotations":{"kubectl.kubernetes.io/last-applied-configuration":`+string(applied)+`}}`, key)
	send := func(method, at, contentType, body string) {
		l.collect(method, at, body, http.Header{"Content-Type": {contentType}}, l.admin, true)
	}
	bad := []string{
		text, string(quoted), key, object(`{}`, string(quoted)), object(`{}`, `[`+string(quoted)+`]`), object(`{}`, `{"privateKey":[`+string(quoted)+`]}`),
		object(`{}`, `{"privateKey":{"pem":`+string(quoted)+`}}`), object(`{}`, `{"algorithm":`+string(quoted)+`}`),
		object(`{}`, `{"publicKey":`+string(quoted)+`}`), object(`{}`, `{"keyID":`+string(quoted)+`,"privateKey":`+string(quoted)+`}`),
		object(`{"annotations":{"note":`+string(quoted)+`}}`, `{}`), object(`{"labels":{"note":`+string(quoted)+`}}`, `{}`),
		object(`{}`, `{"privateKey":`+string(quoted)+`,"leadTime":"1s"}`),
		object(`{}`, `{"privateKey":`+string(quoted)+`,"algorithm":"RS256"}`), object(`{}`, `{"privateKeyy":`+string(quoted)+`}`),
		object(`{}`, `{"privateKey":`+string(quoted)), object(`{"name":"x"}`, key), object(`{"annotations":{`+string(quoted)+`:""}}`, `{}`),
		object(`{"finalizers":[`+string(quoted)+`]}`, `{}`), object(`{"generateName":`+string(quoted)+`}`, `{}`),
	}
	for _, body := range bad {
		for _, contentType := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain"} {
			send(http.MethodPost, path+"?fieldValidation=Strict", contentType, body)
			send(http.MethodPost, path+"?dryRun=All", contentType, body)
		}
	}
	send(http.MethodPost, path+"?dryRun=All", "application/json", good)
	send(http.MethodPost, path, "application/json", good)
	send(http.MethodPost, path, "application/json", good)
	for contentType, body := range map[string]string{
		"application/merge-patch+json": good, "application/apply-patch+yaml": good,
		"application/json-patch+json":            `[{"op":"add","path":"/spec/privateKey","value":` + string(quoted) + `},{"op":"test","path":"/spec/privateKey","value":` + string(quoted) + `}]`,
		"application/strategic-merge-patch+json": good,
	} {
		for _, query := range []string{"?fieldManager=a&dryRun=All", "?fieldManager=a", "?fieldManager=a&fieldValidation=Strict"} {
			send(http.MethodPatch, path+"/es384-1"+query, contentType, body)
			send(http.MethodPatch, path+"/es384-2"+query, contentType, strings.ReplaceAll(body, "es384-1", "es384-2"))
		}
	}
	for _, body := range append(bad, good) {
		send(http.MethodPut, path+"/es384-1", "application/json", body)
		send(http.MethodPatch, path+"/es384-1", "application/merge-patch+json", body)
		send(http.MethodDelete, path+"/es384-1", "application/json", body)
	}
	for _, accept := range []string{"application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"} {
		for _, at := range []string{path, path + "/es384-1", path + "?watch=true&timeoutSeconds=1"} {
			l.collect(http.MethodGet, at, "", http.Header{"Accept": {accept}}, l.admin, true)
		}
	}
}
