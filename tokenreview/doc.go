// Package tokenreview provides a client that authenticates bearer tokens by TokenReview, at Mintmark or at any Kubernetes API
// server, and net/http and gRPC middleware over it.
//
//	client, err := tokenreview.New(tokenreview.Config{Server: config, Audiences: []string{"orders"}})
//	…
//	defer client.Close()
//	http.ListenAndServeTLS(":8443", cert, key, tokenreview.Handler(client, orders))
//
// A Client is an authenticator.Token of k8s.io/apiserver. It caches verdicts, in bounded memory, under a keyed SHA-256 of the token and
// the audiences; it keeps no token beyond its review. Requests with one token share one review, which goes on when the request that
// began it has gone.
//
// # How old a verdict may be
//
// Against Mintmark the client watches a feed of all that ends tokens: deleted accounts, pods, secrets and nodes, revocations,
// withdrawn keys, changed configuration. An event drops the verdicts that it concerns at once. The server proves about once a second that
// it has told everything. While it does, a token is accepted for LongTTL after its review and refused within a second of its end. If no
// proof comes for MaxSilence, whatever the cause, only verdicts younger than ShortTTL count, as at a server without a feed. The feed goes on
// at any replica where it was; if events may have been missed, all verdicts are dropped.
//
// Only tokens whose every end the feed tells of are cached for LongTTL: JWTs of the server's own issuers. Opaque tokens, which
// don't say when they expire, and tokens of other issuers are cached for ShortTTL. No token is accepted after its claim exp without a
// review.
//
// The client needs the right to create tokenreviews (cluster role system:auth-delegator) and, for the feed, to watch
// tokenreviewevents.mintmark.io; the cluster role mintmark:reviewer has both.
package tokenreview
