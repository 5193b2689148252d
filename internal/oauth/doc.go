// Package oauth owns the opaque access tokens of oauth.openshift.io: their form, the names of the objects that stand for
// them, their users, and the idle deadline that each use moves on.
//
// A token is the prefix sha256~ and a random part. The store holds an OAuthAccessToken that is named after a hash of the
// random part, so neither the store nor a list of the objects tells a token.
//
// A review takes the token, its user and the user's groups from memory: from views that a watch and this process's own
// writes keep current. The reasons for refusals are those of OpenShift's oauth-apiserver.
package oauth
