package certificates

// A bootstrap token for one node is a secret as Kubernetes has it (kube-system/bootstrap-token-<id>) with further keys.
const (
	// NodeNameKey holds the one name that the token is good for.
	NodeNameKey = "node-name"
	// UsedByKey holds the KeyHash of the first request that was approved by the token. The token is good for that key alone
	// from then on.
	UsedByKey = "used-by"
	// RejoinKey holds "true" if a Node of that name may be there already.
	RejoinKey = "rejoin"
)

// NodeBootstrappers is the group of the users of bootstrap tokens for one node.
const NodeBootstrappers = "system:bootstrappers:mintmark:node"
