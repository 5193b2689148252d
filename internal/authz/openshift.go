package authz

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// oauthUsers is the group of all callers with an access token of oauth.openshift.io.
const oauthUsers = "system:authenticated:oauth"

// clusterAdmins is the group of kube:admin, the administrator of a cluster's first hours.
const clusterAdmins = "system:cluster-admins"

const (
	oauthGroup = "oauth.openshift.io"
	userGroup  = "user.openshift.io"

	basicUser    = "basic-user"
	tokenManager = "system:openshift:useroauthaccesstoken-manager"
	tokenDeleter = "system:oauth-token-deleter"
)

// openShiftClusterRoles are further default cluster roles where OpenShift's API is served. With them users read their own
// User object, and list and delete their own access tokens.
func openShiftClusterRoles() []*rbacv1.ClusterRole {
	return []*rbacv1.ClusterRole{
		{
			// ~ is the caller. Only roles for administrators give other users.
			ObjectMeta: defaultMeta("", basicUser),
			Rules:      []rbacv1.PolicyRule{mayNamed("get", userGroup, "users", "~")},
		},
		{
			ObjectMeta: defaultMeta("", tokenManager),
			Rules:      []rbacv1.PolicyRule{may(read+" delete", oauthGroup, "useroauthaccesstokens")},
		},
		{
			// A caller that knows the name of a token object has had the token, or may list them. Logout deletes it by name.
			ObjectMeta: defaultMeta("", tokenDeleter),
			Rules:      []rbacv1.PolicyRule{may("delete", oauthGroup, "oauthaccesstokens", "oauthauthorizetokens")},
		},
	}
}

func openShiftClusterRoleBindings() []*rbacv1.ClusterRoleBinding {
	return []*rbacv1.ClusterRoleBinding{
		bindAs(basicUser+"s", basicUser, group(user.AllAuthenticated)),
		bindAs(tokenManager, tokenManager, group(oauthUsers)),
		bindAs(tokenDeleter+"s", tokenDeleter, group(user.AllAuthenticated)),
		bindAs("cluster-admins", "cluster-admin", group(clusterAdmins)),
	}
}
