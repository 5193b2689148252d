// Package oauth owns the opaque access tokens of oauth.openshift.io: what they look like, and under which names they are
// stored.
//
// A token is the prefix sha256~ and a random part. What is stored is an OAuthAccessToken that is named after a hash of the
// random part, so whoever reads the store, or lists its objects, learns no token.
package oauth
