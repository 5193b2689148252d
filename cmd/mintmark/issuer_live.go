package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// liveCheckName is the name of the account, the binding and the secret that are made in a cluster, in kube-system.
	liveCheckName = "mintmark-live-check"
	// reviewerRole is the role that lets the account create TokenReviews.
	reviewerRole = "system:auth-delegator"
	// kubeconfigKey is the key of the kubeconfig in the secret here.
	kubeconfigKey = "kubeconfig"
	// madeFor is the annotation of that secret, which names the trusted issuer.
	madeFor = "mintmark.io/trusted-issuer"
	// tokenPause is the time between looks for the token of the account.
	tokenPause = 200 * time.Millisecond
)

// liveCheckSecret is the secret here with the kubeconfig for the cluster of a trusted issuer, without its content.
func liveCheckSecret(issuer string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: issuer + "-live-check", Annotations: map[string]string{madeFor: issuer},
		},
		Type: corev1.SecretTypeOpaque,
	}
}

// makeLiveCheck makes an account in the cluster that may create TokenReviews, and stores a kubeconfig with its token here.
func (o *otherCluster) makeLiveCheck(ctx context.Context, here *connection, secret *corev1.Secret, tell teller) error {
	if o.server.config.Insecure {
		return errors.New("the kubeconfig of the cluster does not verify the server (insecure-skip-tls-verify): a live check needs its certificate authority there")
	}
	own, err := kubernetes.NewForConfig(here.config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", here.source, err)
	}
	cluster, err := o.server.cluster("")
	if err != nil {
		return err
	}
	if why := privateHost(ctx, cluster.Server); why != "" {
		tell.say("Warning: the server calls %s for each token. It must be started with --allow-private-issuers: %s.", cluster.Server, why)
	}
	token, err := o.makeReviewer(ctx, tell)
	if err != nil {
		return err
	}
	written, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"cluster": cluster},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{liveCheckName: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"cluster": {Cluster: "cluster", AuthInfo: liveCheckName}},
		CurrentContext: "cluster",
	})
	if err != nil {
		return err
	}
	secret.Data = map[string][]byte{kubeconfigKey: written}
	made, err := storeSecret(ctx, own, secret, tell.dryRun)
	if err != nil {
		return fmt.Errorf("failed to store the kubeconfig of the live check: %w", here.explain(ctx, err))
	}
	past, verb := "Replaced", "replace"
	if made {
		past, verb = "Made", "make"
	}
	tell.did(past, verb, "the secret %s/%s here, with a kubeconfig for that account", secret.Namespace, secret.Name)
	return nil
}

// storeSecret makes a secret, or replaces the content of one that was made for the same trusted issuer.
func storeSecret(ctx context.Context, client kubernetes.Interface, secret *corev1.Secret, dryRun bool) (made bool, err error) {
	secrets := client.CoreV1().Secrets(secret.Namespace)
	_, err = secrets.Create(ctx, secret, metav1.CreateOptions{DryRun: dry(dryRun)})
	if !apierrors.IsAlreadyExists(err) {
		return true, err
	}
	stored, err := secrets.Get(ctx, secret.Name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	if stored.Annotations[madeFor] != secret.Annotations[madeFor] {
		return false, fmt.Errorf("there is a secret %s/%s that this command has not made: rename it, or choose another name for the trusted issuer", secret.Namespace, secret.Name)
	}
	stored.Data = secret.Data
	_, err = secrets.Update(ctx, stored, metav1.UpdateOptions{DryRun: dry(dryRun)})
	return false, err
}

// makeReviewer makes the account in the cluster, and returns its token.
func (o *otherCluster) makeReviewer(ctx context.Context, tell teller) (string, error) {
	meta := metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: liveCheckName}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: liveCheckName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: reviewerRole},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: meta.Namespace, Name: meta.Name}},
	}
	secret := &corev1.Secret{ObjectMeta: *meta.DeepCopy(), Type: corev1.SecretTypeServiceAccountToken}
	secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: liveCheckName}
	options := metav1.CreateOptions{DryRun: dry(tell.dryRun)}
	for _, one := range []struct {
		what   string
		create func() error
	}{
		{"the serviceaccount " + meta.Namespace + "/" + meta.Name, func() error {
			_, err := o.CoreV1().ServiceAccounts(meta.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, options)
			return err
		}},
		{"the clusterrolebinding " + liveCheckName + " (" + reviewerRole + ")", func() error {
			_, err := o.RbacV1().ClusterRoleBindings().Create(ctx, binding, options)
			return err
		}},
		{"the secret " + meta.Namespace + "/" + meta.Name + ", its token,", func() error {
			if tell.dryRun {
				return nil // without the account the cluster would refuse it
			}
			_, err := o.CoreV1().Secrets(meta.Namespace).Create(ctx, secret, options)
			return err
		}},
	} {
		switch err := one.create(); {
		case err == nil:
			tell.did("Made", "make", "%s in the cluster %s", one.what, o.server.config.Host)
		case apierrors.IsAlreadyExists(err):
			tell.did("Kept", "keep", "%s in the cluster %s", one.what, o.server.config.Host)
		default:
			return "", fmt.Errorf("failed to make %s in the cluster: %w", one.what, o.server.explain(ctx, err))
		}
	}
	if tell.dryRun {
		return "", nil
	}
	return o.reviewerToken(ctx)
}

// reviewerToken waits for the token that the cluster puts into the secret of the account.
func (o *otherCluster) reviewerToken(ctx context.Context) (string, error) {
	tick := time.NewTicker(tokenPause)
	defer tick.Stop()
	for {
		secret, err := o.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, liveCheckName, metav1.GetOptions{})
		if err == nil && len(secret.Data[corev1.ServiceAccountTokenKey]) > 0 {
			return string(secret.Data[corev1.ServiceAccountTokenKey]), nil
		}
		if err != nil {
			return "", fmt.Errorf("failed to read the token of the account in the cluster: %w", o.server.explain(ctx, err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("the cluster %s put no token into the secret %s/%s: its serviceaccount-token-controller must run", o.server.config.Host, metav1.NamespaceSystem, liveCheckName)
		}
	}
}

// removeReviewer removes from the cluster what makeReviewer has made there.
func (o *otherCluster) removeReviewer(ctx context.Context, tell teller) error {
	options := metav1.DeleteOptions{DryRun: dry(tell.dryRun)}
	for _, one := range []struct {
		what   string
		remove func() error
	}{
		{"the clusterrolebinding " + liveCheckName, func() error { return o.RbacV1().ClusterRoleBindings().Delete(ctx, liveCheckName, options) }},
		{"the secret kube-system/" + liveCheckName, func() error {
			return o.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, liveCheckName, options)
		}},
		{"the serviceaccount kube-system/" + liveCheckName, func() error {
			return o.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Delete(ctx, liveCheckName, options)
		}},
	} {
		err := one.remove()
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("failed to remove %s from the cluster: %w", one.what, o.server.explain(ctx, err))
		}
		tell.did("Removed", "remove", "%s from the cluster %s", one.what, o.server.config.Host)
	}
	return nil
}
