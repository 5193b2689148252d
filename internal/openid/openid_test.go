package openid_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emicklei/go-restful/v3"
	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/openid"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// TestMain keeps the log of the servers out of the results.
func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	m.Run()
}

// keySet returns keys that never change.
func keySet(t *testing.T, public ...crypto.PublicKey) *signingkey.Ring {
	t.Helper()
	source, err := signingkey.NewStatic(nil, public)
	if err != nil {
		t.Fatal(err)
	}
	return signingkey.NewRing(source, nil)
}

func onCurve(t *testing.T, curve elliptic.Curve) crypto.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// serve returns a server of the documents alone.
func serve(t *testing.T, cfg openid.Config) *httptest.Server {
	t.Helper()
	documents, err := openid.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	container := restful.NewContainer()
	container.Router(restful.CurlyRouter{}) // the generic server's
	documents.Install(container)
	server := httptest.NewServer(container)
	t.Cleanup(server.Close)
	return server
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// fetch reads a document.
func fetch(t *testing.T, client *http.Client, url, accept string) answer {
	t.Helper()
	return send(t, client, http.MethodGet, url, accept)
}

// send sends a request with an Accept header for each line of accept.
func send(t *testing.T, client *http.Client, method, url, accept string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header["Accept"] = strings.Split(accept, "\n")
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

const (
	configurationPath = "/.well-known/openid-configuration"
	keySetPath        = "/openid/v1/jwks"
)

// TestDocuments reads both documents, byte for byte.
func TestDocuments(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	order := []crypto.PublicKey{onCurve(t, elliptic.P521()), rsaKey.Public(), onCurve(t, elliptic.P256()), onCurve(t, elliptic.P256())}
	server := serve(t, openid.Config{Issuer: "https://issuer.example/tenant/", ExternalAddress: "[::1]:443", Keys: keySet(t, order...)})
	response := fetch(t, http.DefaultClient, server.URL+configurationPath, "")
	const want = `{"issuer":"https://issuer.example/tenant/","jwks_uri":"https://[::1]:443/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","ES512","RS256"]}`
	if response.body != want {
		t.Errorf("the configuration is %s", response.body)
	}
	checkHeaders(t, response, "application/json")

	response = fetch(t, http.DefaultClient, server.URL+keySetPath, "")
	checkHeaders(t, response, "application/jwk-set+json")
	var set struct {
		Keys []struct{ Use, Kty, Kid, Crv, Alg string }
	}
	if err := json.Unmarshal([]byte(response.body), &set); err != nil {
		t.Fatal(err)
	}
	var got, ids []string
	for i, key := range set.Keys {
		got = append(got, strings.TrimSpace(key.Use+" "+key.Alg+" "+key.Kty+" "+key.Crv))
		id, err := signingkey.KeyID(order[i])
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if key.Kid != id {
			t.Errorf("key %d has the id %s, want %s", i, key.Kid, ids[i])
		}
	}
	if diff := cmp.Diff([]string{"sig ES512 EC P-521", "sig RS256 RSA", "sig ES256 EC P-256", "sig ES256 EC P-256"}, got); diff != "" {
		t.Errorf("keys, in the order of configuration (-want +got):\n%s", diff)
	}
	if again := fetch(t, http.DefaultClient, server.URL+keySetPath, ""); again.body != response.body || strings.HasSuffix(again.body, "\n") {
		t.Error("the key set is not the same each time, or ends with a newline")
	}
}

func checkHeaders(t *testing.T, response answer, mediaType string) {
	t.Helper()
	if response.status != http.StatusOK {
		t.Errorf("status %d", response.status)
	}
	for name, want := range map[string]string{
		"Content-Type": mediaType, "Cache-Control": "public, max-age=3600", "Last-Modified": "",
	} {
		if got := response.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestRefused: a client that accepts none of a document's media types gets none. No other method is known.
func TestRefused(t *testing.T) {
	server := serve(t, openid.Config{Issuer: "https://issuer.example", ExternalAddress: "host:1", Keys: keySet(t, onCurve(t, elliptic.P256()))})
	for _, test := range []struct {
		method, path, accept string
		want                 int
	}{
		{http.MethodGet, configurationPath, "", http.StatusOK},
		{http.MethodGet, configurationPath, "*/*", http.StatusOK},
		{http.MethodGet, configurationPath, "application/json", http.StatusOK},
		{http.MethodGet, configurationPath, "text/html, application/json;q=0.5", http.StatusOK},
		{http.MethodGet, configurationPath, "text/html", http.StatusNotAcceptable},
		{http.MethodGet, configurationPath, "application/jwk-set+json", http.StatusNotAcceptable},
		{http.MethodGet, configurationPath + "/", "", http.StatusOK},
		{http.MethodGet, keySetPath, "", http.StatusOK},
		{http.MethodGet, keySetPath, "*/*", http.StatusOK},
		{http.MethodGet, keySetPath, "application/jwk-set+json", http.StatusOK},
		{http.MethodGet, keySetPath, "application/json, */*", http.StatusOK},
		{http.MethodGet, keySetPath + "/", "", http.StatusOK},
		{http.MethodHead, keySetPath, "", http.StatusMethodNotAllowed},
		{http.MethodPost, keySetPath, "", http.StatusMethodNotAllowed},
		{http.MethodDelete, configurationPath, "", http.StatusMethodNotAllowed},
		{http.MethodGet, keySetPath + "/x", "", http.StatusNotFound},
	} {
		response := send(t, http.DefaultClient, test.method, server.URL+test.path, test.accept)
		if response.status != test.want {
			t.Errorf("%s %s, Accept %q: status %d, want %d", test.method, test.path, test.accept, response.status, test.want)
		}
	}
}

// TestNegotiation: Accept headers are read as RFC 9110 has them. What a client weighs most is sent, a document's own media
// type if the client has no preference, and nothing that the client excludes.
func TestNegotiation(t *testing.T) {
	server := serve(t, openid.Config{Issuer: "https://issuer.example", ExternalAddress: "host:1", Keys: keySet(t, onCurve(t, elliptic.P256()))})
	const json, jwks, none = "application/json", "application/jwk-set+json", ""
	for accept, want := range map[string]struct{ configuration, keySet string }{
		"application/*": {json, jwks},
		"APPLICATION/*": {json, jwks},
		"*/*":           {json, jwks},
		"*":             {json, jwks},
		"text/html, image/gif, *; q=.2, */*; q=.2":      {json, jwks},
		"application/json":                              {json, json},
		"application/json;charset=utf-8":                {json, json},
		"Application/JSON; Q=0.3":                       {json, json},
		"text/html\napplication/json":                   {json, json},
		"text/html\napplication/jwk-set+json":           {none, jwks},
		"application/json, */*":                         {json, jwks},
		"application/json, application/jwk-set+json":    {json, jwks},
		"application/json, */*;q=0.1":                   {json, json},
		"application/json;q=0.1, application/*;q=0.2":   {json, jwks},
		"application/jwk-set+json, application/json":    {json, jwks},
		"application/jwk-set+json;q=0, */*":             {json, json},
		"application/jwk-set+json;q=0":                  {none, none},
		"application/json;q=0":                          {none, none},
		"application/json;q=0.000, */*":                 {none, jwks},
		"*/*;q=0":                                       {none, none},
		"application/*;q=0, */*":                        {none, none},
		"application/json;q=nonsense":                   {json, json},
		"text/*, image/png":                             {none, none},
		"application/xml":                               {none, none},
		"application/jwk-set":                           {none, none},
		"application/jwk-set+json;q=0.5, text/html;q=1": {none, jwks},
		",": {json, jwks},
	} {
		for path, mediaType := range map[string]string{configurationPath: want.configuration, keySetPath: want.keySet} {
			response := fetch(t, http.DefaultClient, server.URL+path, accept)
			switch {
			case mediaType == none && response.status != http.StatusNotAcceptable:
				t.Errorf("%s, Accept %q: status %d, want 406", path, accept, response.status)
			case mediaType != none:
				checkHeaders(t, response, mediaType)
			}
			if t.Failed() {
				t.Fatalf("%s, Accept %q", path, accept)
			}
		}
	}
}

// TestNoDocuments: an issuer that is good for tokens may be none that a relying party could look for.
func TestNoDocuments(t *testing.T) {
	keys := keySet(t, onCurve(t, elliptic.P256()))
	for _, test := range []struct {
		name string
		cfg  openid.Config
		want string
	}{
		{"no issuer", openid.Config{ExternalAddress: "host:1", Keys: keys}, "empty issuer URL"},
		{"a name", openid.Config{Issuer: "api", ExternalAddress: "host:1", Keys: keys}, "issuer URL must use https scheme, got: api"},
		{"the legacy issuer", openid.Config{Issuer: "kubernetes/serviceaccount", ExternalAddress: "host:1", Keys: keys}, "issuer URL must use https scheme, got: kubernetes/serviceaccount"},
		{"http", openid.Config{Issuer: "http://issuer.example", ExternalAddress: "host:1", Keys: keys}, "issuer URL must use https scheme, got: http://issuer.example"},
		{"no URL", openid.Config{Issuer: "https://\x7f", ExternalAddress: "host:1", Keys: keys}, `parse "https://\x7f": net/url: invalid control character in URL`},
		{"a query", openid.Config{Issuer: "https://issuer.example?a=b", ExternalAddress: "host:1", Keys: keys}, "issuer URL may not include a query, got: https://issuer.example?a=b"},
		{"a fragment", openid.Config{Issuer: "https://issuer.example#a", ExternalAddress: "host:1", Keys: keys}, "issuer URL may not include a fragment, got: https://issuer.example#a"},
		{"no address", openid.Config{Issuer: "https://issuer.example", Keys: keys}, "either the JWKS URI or the default external address, or both, must be set"},
		{"an address that is none", openid.Config{Issuer: "https://issuer.example", ExternalAddress: "[::1", Keys: keys}, `attempted to build jwks_uri from external address [::1, but could not construct a valid URL. Error: parse "https://[::1/openid/v1/jwks": missing ']' in host`},
		{"keys over http", openid.Config{Issuer: "https://issuer.example", JWKSURI: "http://keys.example", Keys: keys}, "jwksURI requires https scheme, parsed as: http://keys.example"},
		{"keys elsewhere", openid.Config{Issuer: "https://issuer.example", JWKSURI: "https://keys.example/x?y=z", Keys: keys}, ""},
		{"a path and a slash", openid.Config{Issuer: "https://issuer.example/a/b/", ExternalAddress: "host", Keys: keys}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := openid.New(test.cfg)
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestKeySetElsewhere: the URL that is given is published as it is.
func TestKeySetElsewhere(t *testing.T) {
	server := serve(t, openid.Config{Issuer: "https://issuer.example", JWKSURI: "https://keys.example/x?y=z", ExternalAddress: "host:1", Keys: keySet(t, onCurve(t, elliptic.P256()))})
	if got := fetch(t, http.DefaultClient, server.URL+configurationPath, ""); !strings.Contains(got.body, `"jwks_uri":"https://keys.example/x?y=z"`) {
		t.Errorf("the configuration is %s", got.body)
	}
}

// TestEntityTags: a client that has a document is told so, by the tag of the media type that it has.
func TestEntityTags(t *testing.T) {
	server := serve(t, openid.Config{Issuer: "https://issuer.example", ExternalAddress: "host:1", Keys: keySet(t, onCurve(t, elliptic.P256()))})
	get := func(path, accept, have string) answer {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		if have != "" {
			request.Header["If-None-Match"] = strings.Split(have, "\n")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{response.StatusCode, response.Header, string(body)}
	}
	asJSON, asSet := get(keySetPath, "application/json", "").header.Get("ETag"), get(keySetPath, "*/*", "").header.Get("ETag")
	discovery := get(configurationPath, "*/*", "").header.Get("ETag")
	if asJSON == "" || asSet == "" || discovery == "" || asJSON == asSet || asSet == discovery {
		t.Fatalf("tags %s, %s, %s", asJSON, asSet, discovery)
	}
	for _, test := range []struct {
		path, accept, have string
		status             int
	}{
		{keySetPath, "*/*", asSet, http.StatusNotModified},
		{keySetPath, "*/*", "W/" + asSet, http.StatusNotModified},
		{keySetPath, "*/*", `"x", ` + asSet, http.StatusNotModified},
		{keySetPath, "*/*", "\"x\"\n" + asSet, http.StatusNotModified},
		{keySetPath, "*/*", "*", http.StatusNotModified},
		{keySetPath, "application/json", asJSON, http.StatusNotModified},
		{keySetPath, "application/json", asSet, http.StatusOK},
		{keySetPath, "*/*", `"x"`, http.StatusOK},
		{configurationPath, "*/*", discovery, http.StatusNotModified},
		{configurationPath, "*/*", asSet, http.StatusOK},
		{configurationPath, "text/html", discovery, http.StatusNotAcceptable},
	} {
		got := get(test.path, test.accept, test.have)
		if got.status != test.status || (got.status == http.StatusNotModified) != (got.body == "") {
			t.Errorf("%s, Accept %q, If-None-Match %q: status %d, body %q", test.path, test.accept, test.have, got.status, got.body)
		}
		if got.status == http.StatusNotModified && (got.header.Get("Cache-Control") == "" || got.header.Get("ETag") == "") {
			t.Errorf("%s: the headers of 304 are %v", test.path, got.header)
		}
	}
}

// unread are keys that aren't known yet.
type unread struct{}

func (unread) Published() (*signingkey.Published, error) {
	return nil, &signingkey.Unavailable{Reason: "not read yet"}
}

// TestDocumentsOfUnknownKeys: before the keys have been read there is no key set, not an empty one, and no cache keeps that.
func TestDocumentsOfUnknownKeys(t *testing.T) {
	server := serve(t, openid.Config{Issuer: "https://issuer.example", ExternalAddress: "host:1", Keys: unread{}})
	for _, path := range []string{configurationPath, keySetPath} {
		got := fetch(t, http.DefaultClient, server.URL+path, "")
		if got.status != http.StatusServiceUnavailable || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Retry-After") != "1" ||
			!strings.Contains(got.body, `"reason":"ServiceUnavailable"`) || !strings.Contains(got.body, `"kind":"Status"`) {
			t.Errorf("%s: status %d, headers %v, body %s", path, got.status, got.header, got.body)
		}
	}
}
