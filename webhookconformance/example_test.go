package webhookconformance_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/webhookconformance"
)

// A test of a webhook: its checks as subtests.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestWebhook(t *testing.T)
		config := &rest.Config{Host: "https://127.0.0.1:8443/authenticate", TLSClientConfig: rest.TLSClientConfig{CAFile: "ca.crt"}}
		for result := range webhookconformance.Run(t.Context(), config, webhookconformance.Options{Token: "a token that it accepts"}) {
			t.Run(result.Name, func(t *testing.T) {
				if result.Skipped != "" {
					t.Skip(result.Skipped)
				}
				if result.Err != nil {
					t.Errorf("%s %v. %s", result.Requirement, result.Err, result.Remedy)
				}
			})
		}
	}
}
