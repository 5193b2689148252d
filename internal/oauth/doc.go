// Package oauth owns the opaque access tokens of oauth.openshift.io: what they look like, under which names they are
// stored, to whom they belong, and how use keeps them alive.
//
// A token is the prefix sha256~ and a random part. What is stored is an OAuthAccessToken that is named after a hash of the
// random part, so whoever reads the store, or lists its objects, learns no token.
//
// Whatever a review needs is in memory: the token, its user and the user's groups, in views that a watch and this
// process's own writes keep current. The reasons for refusals are those of OpenShift's oauth-apiserver.
package oauth
