package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// webhookAnswer is what the token webhook says about one token. Without a code it answers 200.
type webhookAnswer struct {
	Code       int             `json:"code,omitempty"`
	Kind       string          `json:"kind,omitempty"`       // instead of TokenReview
	APIVersion string          `json:"apiVersion,omitempty"` // instead of the one asked in
	Status     json.RawMessage `json:"status,omitempty"`
	Text       string          `json:"text,omitempty"` // the whole answer instead
	Echo       bool            `json:"echo,omitempty"` // authenticate as "echo", with what was asked as extra
}

// newWebhook answers TokenReviews from a table; tokens that are not in it are not authenticated.
func newWebhook(table string) (http.Handler, error) {
	text, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	var answers map[string]webhookAnswer
	if err := json.Unmarshal(text, &answers); err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review, err := readReview(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		token, _ := lookUp(review, "/spec/token")
		answer := answers[plainText(token)]
		code := max(answer.Code, http.StatusOK)
		if answer.Text != "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, answer.Text) // the caller hung up
			return
		}
		reply := map[string]any{"kind": review["kind"], "apiVersion": review["apiVersion"], "status": map[string]any{}}
		if answer.Kind != "" {
			reply["kind"] = answer.Kind
		}
		if answer.APIVersion != "" {
			reply["apiVersion"] = answer.APIVersion
		}
		if answer.Status != nil {
			reply["status"] = answer.Status
		}
		if answer.Echo {
			reply["status"] = echo(r, review)
		}
		writeJSON(w, code, reply)
	}), nil
}

func readReview(body io.Reader) (map[string]any, error) {
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return nil, err
	}
	v, err := decodeJSON(text)
	if err != nil {
		return nil, err
	}
	review, _ := v.(map[string]any)
	if review["kind"] != "TokenReview" {
		return nil, errors.New("not a TokenReview")
	}
	return review, nil
}

// echo authenticates a user whose extra shows the request.
func echo(r *http.Request, review map[string]any) map[string]any {
	extra := map[string][]string{
		"method": {r.Method}, "path": {r.URL.Path},
		"content-type": r.Header["Content-Type"], "authorization": r.Header["Authorization"],
	}
	for _, member := range []string{"apiVersion", "kind", "spec", "status"} {
		extra[member] = []string{plainText(review[member])}
	}
	audiences, _ := lookUp(review, "/spec/audiences")
	return map[string]any{
		"authenticated": true,
		"user":          map[string]any{"username": "echo", "extra": extra},
		"audiences":     audiences,
	}
}
