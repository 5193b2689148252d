// Package scheme provides the API types that Mintmark serves, those of Kubernetes and of OpenShift, and their codecs.
//
// The published Go types (k8s.io/api/..., github.com/openshift/api/...) are registered a second time as the internal
// version of their group, so the generic registry works on them directly. Only a body in an older version of a group is
// converted.
package scheme
