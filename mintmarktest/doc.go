// Package mintmarktest runs a whole Mintmark server inside a test: the real TokenRequest, TokenReview, RBAC and discovery of
// Kubernetes, in a fraction of a second and without a cluster or a binary.
//
//	func TestMyProxy(t *testing.T) {
//		server := mintmarktest.Start(t)
//		proxy := NewProxy(server.Client)                       // what is tested, with a client-go clientset
//		token := server.Issue("shop/cart", mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}})
//		if !proxy.Accepts(token) {
//			t.Error("a good token was refused")
//		}
//		server.Clock.Advance(2 * time.Hour)                    // the token has ended now
//		if proxy.Accepts(token) {
//			t.Error("an expired token was accepted")
//		}
//	}
//
// # Tokens that must be refused
//
// Forge makes a token that is wrong in one way, and Forgeries has one of every kind. A relying party that accepts any of them
// has a hole:
//
//	for kind, token := range server.Forgeries("shop/cart", mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}}) {
//		if proxy.Accepts(token) {
//			t.Errorf("accepted a forged token: %s", kind)
//		}
//	}
//
// # Time
//
// Tokens, signing keys and stored objects live by the Clock of the server, which runs by itself and moves forward at once with
// Advance. It is a clock of k8s.io/utils/clock, so code that takes one of those renews its tokens when the test says so.
// Certificates, and tokens of OpenID Connect issuers, live by the machine's clock, since libraries check them by that.
//
// # Faults
//
// FailNext has the next requests be slow, cut off or answered with an error, and OnReview sees each review of a token and may
// change its verdict.
//
// Any number of servers may run at the same time in one process. A server ends with its test, and leaves nothing behind.
package mintmarktest
