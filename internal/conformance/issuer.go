package conformance

import (
	"encoding/json"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// newIssuer serves the discovery document of an OpenID Connect issuer and the keys that it names, with the key ids
// that forged tokens carry.
func newIssuer(issuer, base, discovery string, keyFiles []string) (http.Handler, error) {
	var set jose.JSONWebKeySet
	for _, file := range keyFiles {
		key, err := readKey(file)
		if err != nil {
			return nil, err
		}
		kid, err := keyID(key.Public())
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: key.Public(), KeyID: kid, Algorithm: defaultAlgorithm(key.Public()), Use: "sig",
		})
	}
	document := map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              base + "/keys",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "ES384"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+discovery, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, document) })
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, set) })
	return mux, nil
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the caller hung up
}
