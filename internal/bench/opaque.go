package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	opaqueReviewPath = "/apis/oauth.openshift.io/v1/tokenreviews"
	opaquePrefix     = "sha256~"
	usersPath        = "/apis/user.openshift.io/v1/users"
	clientsPath      = "/apis/oauth.openshift.io/v1/oauthclients"
	tokensPath       = "/apis/oauth.openshift.io/v1/oauthaccesstokens"
)

// makeOpaque makes an access token of OpenShift, and lets the caller review it, where a site has OpenShift's API.
func (s *site) makeOpaque(ctx context.Context) error {
	_, err := s.client.Discovery().ServerResourcesForGroupVersion(oauthv1.GroupVersion.String())
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{oauthv1.GroupName}, Resources: []string{"tokenreviews"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = s.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace + "-opaque"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.namespace, Name: callerName}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: s.namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	var user userv1.User
	if err := s.post(ctx, usersPath, userv1.GroupVersion.WithKind("User"), &userv1.User{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, &user); err != nil {
		return err
	}
	err = s.post(ctx, clientsPath, oauthv1.GroupVersion.WithKind("OAuthClient"), &oauthv1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace}, GrantMethod: oauthv1.GrantHandlerAuto, RedirectURIs: []string{"https://bench.example/callback"},
	}, nil)
	if err != nil {
		return err
	}
	secret := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	err = s.post(ctx, tokensPath, oauthv1.GroupVersion.WithKind("OAuthAccessToken"), &oauthv1.OAuthAccessToken{
		ObjectMeta: metav1.ObjectMeta{Name: opaquePrefix + base64.RawURLEncoding.EncodeToString(sum[:])},
		ClientName: s.namespace, RedirectURI: "https://bench.example/callback", Scopes: []string{"user:full"}, ExpiresIn: 86400,
		UserName: user.Name, UserUID: string(user.UID),
	}, nil)
	s.opaque = opaquePrefix + secret
	return err
}

// post creates an object at a path. Its errors do not hold the object, which may have a token in it.
func (s *site) post(ctx context.Context, path string, kind schema.GroupVersionKind, object, into runtime.Object) error {
	object.GetObjectKind().SetGroupVersionKind(kind)
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	answer, err := s.client.Discovery().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("creating a %s: %w", kind.Kind, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// removeOpaque removes what makeOpaque has made. The token ends with the day.
func (s *site) removeOpaque(ctx context.Context) []error {
	if s.opaque == "" {
		return nil
	}
	rest := s.client.Discovery().RESTClient()
	return []error{
		s.client.RbacV1().ClusterRoleBindings().Delete(ctx, s.namespace+"-opaque", metav1.DeleteOptions{}),
		s.client.RbacV1().ClusterRoles().Delete(ctx, s.namespace, metav1.DeleteOptions{}),
		rest.Delete().AbsPath(usersPath, s.namespace).Do(ctx).Error(),
		rest.Delete().AbsPath(clientsPath, s.namespace).Do(ctx).Error(),
	}
}

func oneOpaqueReview(_ context.Context, s *site, _ int) ([][]byte, error) {
	body, err := review(s.opaque)
	return [][]byte{body}, err
}

// acceptedOpaque wants the user of the access token.
func acceptedOpaque(s *site, body []byte) error {
	status, err := verdict(body)
	if err == nil && (!status.Authenticated || status.User.Username != s.namespace) {
		err = errRefused
	}
	return err
}
