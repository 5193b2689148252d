// Package agent provides "mintmark agent": the part of a kubelet that tokens on a machine need. It joins a server with a
// bootstrap token, keeps a client certificate, registers a Node, and has internal/projectedvolume write the projected volumes of
// the pods whose spec.nodeName is that Node. It runs nothing.
//
// The agent speaks Kubernetes' own API over TLS and imports nothing of the server.
package agent
