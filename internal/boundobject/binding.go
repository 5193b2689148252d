// Package boundobject ties tokens to live objects: the Binding of a service account token is made here when the token
// is issued and confirmed here whenever it is reviewed.
//
// See KEP-1205 (bound service account tokens) and KEP-4193 (nodes and credential ids).
package boundobject

import "k8s.io/apimachinery/pkg/types"

// Ref names one object for good: a later object of the same name has another UID.
type Ref struct {
	Name string
	UID  types.UID
}

// Binding names the objects that a token depends on: its service account, and at most one of pod, secret and node. A pod on a node
// carries the node along, for information: the token does not depend on that node.
//
// The zero Ref means that there is none.
type Binding struct {
	Namespace      string
	ServiceAccount Ref
	Pod            Ref
	Secret         Ref
	Node           Ref
}
