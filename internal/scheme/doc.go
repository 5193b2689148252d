// Package scheme holds the Kubernetes API types that Mintmark serves and their codecs.
//
// The published Go types (k8s.io/api/...) are registered a second time as the internal version of their group, so the
// generic registry works on them directly and nothing is ever converted between two shapes of the same object.
package scheme
