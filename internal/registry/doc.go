// Package registry owns the REST storage of the objects that the generic server serves: Namespace, ServiceAccount,
// Secret, Pod and Node of the core API, and the roles and bindings of rbac.authorization.k8s.io. Reviews, which are answered
// and not stored, are here too.
//
// Each resource has a file with its storage, its strategy (what is set, kept and refused when an object is created or
// changed) and its table. What is said in validation errors is part of the API and follows Kubernetes to the letter.
// Pods and nodes are records that tokens are bound to: they are checked for what clients commonly get wrong, and
// nothing is ever run.
package registry
