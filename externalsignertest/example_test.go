package externalsignertest_test

import (
	"testing"

	"github.com/mintmark/mintmark/externalsignertest"
)

// A test of a signer: its checks as subtests.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestSigner(t *testing.T)
		for result := range externalsignertest.Run(t.Context(), "unix:///run/signer.sock", externalsignertest.Options{}) {
			t.Run(result.Name, func(t *testing.T) {
				if result.Skipped != "" {
					t.Skip(result.Skipped)
				}
				if result.Err != nil {
					t.Errorf("%s %v", result.Requirement, result.Err)
				}
			})
		}
	}
}
