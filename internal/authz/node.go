package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// nodeUserPrefix is what the names of nodes as users begin with.
const nodeUserPrefix = "system:node:"

// NodeName returns the node that a user is, and whether it is one: by its name and its group, and empty for the name that
// is nothing but the prefix.
func NodeName(u user.Info) (string, bool) {
	if u == nil {
		return "", false
	}
	name, ok := strings.CutPrefix(u.GetName(), nodeUserPrefix)
	return name, ok && slices.Contains(u.GetGroups(), user.NodesGroup)
}

// node is the mode Node. A node may do what concerns the pods that run on it.
type node struct {
	relations *NodeRelations
	always    []rule
}

func newNode(relations *NodeRelations) node {
	var always []rbacv1.PolicyRule
	for _, r := range nodeRules() {
		// Requests for these are decided by the node's relations.
		r.Resources = slices.DeleteFunc(slices.Clone(r.Resources), func(resource string) bool {
			base, _, _ := strings.Cut(resource, "/")
			return slices.Contains([]string{
				"secrets", "configmaps", "serviceaccounts", "pods", "nodes", "persistentvolumeclaims", "persistentvolumes", "leases",
			}, base)
		})
		if len(r.Resources) > 0 {
			always = append(always, r)
		}
	}
	return node{relations, compile(always)}
}

// Authorize allows the requests that a node may make. About others it has no opinion, and gives the reason.
func (n node) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	name, isNode := NodeName(a.GetUser())
	if !isNode {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if name == "" {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", a.GetUser().GetName()), nil
	}
	if reason := n.refuse(name, a); reason != nil {
		return authorizer.DecisionNoOpinion, *reason, nil
	}
	return authorizer.DecisionAllow, "", nil
}

// refuse returns why a node may not do something, nil if it may. There need not be words for it.
func (n node) refuse(name string, a authorizer.Attributes) *string {
	if a.IsResourceRequest() && a.GetAPIGroup() == coordinationv1.GroupName && a.GetResource() == "leases" {
		return refuseLease(name, a)
	}
	if a.IsResourceRequest() && a.GetAPIGroup() == "" {
		switch a.GetResource() {
		case "serviceaccounts":
			return n.refuseAccount(name, a)
		case "secrets", "configmaps":
			return n.refuseRead(name, a)
		case "pods":
			return n.refusePod(name, a)
		case "nodes":
			return refuseNode(name, a)
		}
	}
	if allow(n.always, newRequest(a)) {
		return nil
	}
	return because("")
}

func because(reason string) *string { return &reason }

func (n node) refuseAccount(name string, a authorizer.Attributes) *string {
	switch {
	case a.GetVerb() == "get" && a.GetSubresource() == "":
	case a.GetVerb() != "create" || a.GetName() == "" || a.GetSubresource() == "":
		return because("can only create tokens for individual service accounts")
	case a.GetSubresource() != "token":
		return because("can only create token subresource of serviceaccount")
	}
	return n.refuseUnrelated(name, a)
}

func (n node) refuseRead(name string, a authorizer.Attributes) *string {
	switch {
	case !slices.Contains([]string{"get", "list", "watch"}, a.GetVerb()):
		return because("can only read resources of this type")
	case a.GetSubresource() != "":
		return because("cannot read subresource")
	case a.GetNamespace() == "":
		return because("can only read namespaced object of this type")
	case a.GetName() == "":
		return because("No Object name found")
	}
	return n.refuseUnrelated(name, a)
}

func (n node) refuseUnrelated(name string, a authorizer.Attributes) *string {
	if n.relations.related(relation{name, a.GetResource(), a.GetNamespace(), a.GetName()}) {
		return nil
	}
	return because(fmt.Sprintf("no relationship found between node '%s' and this object", name))
}

func (n node) refusePod(name string, a authorizer.Attributes) *string {
	switch verb := a.GetVerb(); a.GetSubresource() {
	case "":
		switch verb {
		case "get":
			return n.refuseUnrelated(name, a)
		case "list", "watch":
			requirements, _ := a.GetFieldSelector()
			for _, r := range requirements {
				if r.Field == "spec.nodeName" && r.Value == name && (r.Operator == "=" || r.Operator == "==") {
					return nil
				}
			}
			if a.GetName() != "" {
				return n.refuseUnrelated(name, a)
			}
			return because("can only list/watch pods with spec.nodeName field selector")
		case "create", "delete":
			return nil // NodeRestriction looks at which
		}
	case "status":
		if verb == "update" || verb == "patch" {
			return nil
		}
	case "eviction":
		if verb == "create" {
			return nil
		}
	}
	return because("")
}

func refuseNode(name string, a authorizer.Attributes) *string {
	verb := a.GetVerb()
	switch a.GetSubresource() {
	case "":
		switch verb {
		case "create", "update", "patch":
			return nil // NodeRestriction looks at which
		case "get", "list", "watch":
			switch a.GetName() {
			case name:
				return nil
			case "":
				return because(fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", name))
			}
			return because(fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", name, a.GetName()))
		}
	case "status":
		if verb == "update" || verb == "patch" {
			return nil
		}
	}
	return because("")
}

// refuseLease lets a node write the one lease by which it says that it is alive.
func refuseLease(name string, a authorizer.Attributes) *string {
	switch {
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, a.GetVerb()):
		return because("can only get, create, update, patch, or delete a node lease")
	case a.GetNamespace() != corev1.NamespaceNodeLease:
		return because(fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease))
	case a.GetVerb() != "create" && a.GetName() != name: // a new lease is not named in the request
		return because("can only access node lease with the same name as the requesting node")
	}
	return nil
}

// RulesFor says of nodes that there is more to it than rules.
func (node) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := NodeName(u); isNode {
		return nil, nil, true, errors.New("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}
