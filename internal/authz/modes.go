package authz

import apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"

// The modes, as --authorization-mode and the type of an authorizer in the configuration file name them.
const (
	ModeAlwaysAllow = "AlwaysAllow"
	ModeAlwaysDeny  = "AlwaysDeny"
	ModeNode        = "Node"
	ModeRBAC        = "RBAC"
	ModeWebhook     = string(apiserverconfig.TypeWebhook)
)

// Modes are all of them.
var Modes = []string{ModeAlwaysAllow, ModeAlwaysDeny, ModeNode, ModeRBAC, ModeWebhook}
