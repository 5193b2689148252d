// Package openshift owns the REST storage of OpenShift's API groups: users, groups, identities and their mappings in
// user.openshift.io, and clients, tokens and authorizations in oauth.openshift.io.
//
// Each resource has a file. What is said in validation errors is part of the API and follows OpenShift's own server to
// the letter.
package openshift
