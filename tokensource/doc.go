// Package tokensource provides tokens of a service account, renewed in time: by TokenRequest at Mintmark or any Kubernetes API server,
// or from a projected file.
//
//	source, err := tokensource.New(tokensource.Config{Server: config, Namespace: "shop", Account: "orders", Audiences: []string{"stock"}})
//	…
//	defer source.Close()
//	client := &http.Client{Transport: source.Transport(nil)}
//
// A Source is an oauth2.TokenSource. Goroutines share one token and one request for the next. A token is renewed at 75 to 80 % of its
// life, in the background; where the server is away, the last one is used until it ends, and asked for anew with growing pauses.
// A Source has no goroutine but while it asks for a token.
//
// Times are those of Config.Now, and of the package time in a testing/synctest bubble.
package tokensource
