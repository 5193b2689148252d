package controller

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/view"
)

// tokenController is the serviceaccount-token-controller. Its keys are token secrets.
type tokenController struct {
	Config
	queue  *loop[view.Key]
	owners owners
}

func newTokenController(cfg Config) func(context.Context) {
	if cfg.Signer == nil {
		return nil
	}
	c := &tokenController{Config: cfg, queue: newLoop[view.Key](cfg.Clock), owners: newOwners()}
	cfg.root.onChange(func() {
		for _, key := range c.secrets() {
			c.queue.Add(key)
		}
	})
	cfg.Index.Secrets.OnChange(func(key view.Key, obj runtime.Object) {
		if secret, ok := obj.(*corev1.Secret); ok && secret.Type == corev1.SecretTypeServiceAccountToken {
			c.owners.set(key, secret.Annotations[corev1.ServiceAccountNameKey])
			c.queue.Add(key)
		} else if _, owned := c.owners.of(key); owned && !c.queue.Add(key) {
			c.owners.forget(key) // the replica that runs the controllers sees to the account
		}
	})
	// An account that is gone takes its secrets along, and so does one that came back as another.
	cfg.Index.ServiceAccounts.OnChange(func(key view.Key, _ runtime.Object) {
		for _, name := range c.owners.secrets(key) {
			c.queue.Add(view.Key{Namespace: key.Namespace, Name: name})
		}
	})
	return func(ctx context.Context) { c.queue.run(ctx, c.secrets, c.settle) }
}

// secrets returns the keys of all token secrets.
func (c *tokenController) secrets() []view.Key {
	return c.Index.Secrets.Keys(func(_ view.Key, secret boundobject.Secret) bool {
		return secret.Type == corev1.SecretTypeServiceAccountToken
	})
}

func (c *tokenController) settle(ctx context.Context, key view.Key) (time.Duration, error) {
	obj, err := c.Index.Secrets.Object(ctx, key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, c.unlist(ctx, key)
	}
	if err != nil {
		return 0, err
	}
	secret := obj.(*corev1.Secret)
	account := secret.Annotations[corev1.ServiceAccountNameKey]
	if secret.Type != corev1.SecretTypeServiceAccountToken || account == "" {
		c.owners.forget(key)
		return 0, nil
	}
	// The secrets that were there at the start have not been heard of.
	c.owners.set(key, account)
	if secret.DeletionTimestamp != nil {
		return 0, nil
	}
	uid, err := c.account(ctx, secret)
	switch {
	case err != nil:
		return 0, err
	case uid == "":
		return 0, c.remove(ctx, secret)
	}
	return 0, c.fill(ctx, secret, account, uid)
}

// account returns the UID of the service account that a secret belongs to, or none if there is no such account. That there
// is none is never decided from memory.
func (c *tokenController) account(ctx context.Context, secret *corev1.Secret) (types.UID, error) {
	name := secret.Annotations[corev1.ServiceAccountNameKey]
	pinned := types.UID(secret.Annotations[corev1.ServiceAccountUIDKey])
	other := func(account boundobject.ServiceAccount) bool { return pinned != "" && pinned != account.UID }
	account, err := c.Index.ServiceAccounts.Lookup(ctx, secret.Namespace, name)
	if err == nil && other(account) {
		account, err = c.Index.ServiceAccounts.Read(ctx, secret.Namespace, name)
	}
	switch {
	// BadRequest is for names that no account can have.
	case apierrors.IsNotFound(err), apierrors.IsBadRequest(err):
		return "", nil
	case err != nil:
		return "", err
	case other(account):
		return "", nil
	}
	return account.UID, nil
}

// fill completes the secret of an account. A token in it is kept.
func (c *tokenController) fill(ctx context.Context, secret *corev1.Secret, account string, uid types.UID) error {
	data := map[string][]byte{}
	if rootCA := c.root.pem(); len(rootCA) > 0 && !bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], rootCA) {
		data[corev1.ServiceAccountRootCAKey] = rootCA
	}
	if len(secret.Data[corev1.ServiceAccountNamespaceKey]) == 0 {
		data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	}
	if len(secret.Data[corev1.ServiceAccountTokenKey]) == 0 {
		data[corev1.ServiceAccountTokenKey] = nil
	}
	if secret.Immutable != nil && *secret.Immutable {
		// The API refuses changes to the data of an immutable secret.
		clear(data)
	}
	complete := secret.Annotations[corev1.ServiceAccountUIDKey] == string(uid)
	if complete && len(data) == 0 {
		return nil
	}
	if _, missing := data[corev1.ServiceAccountTokenKey]; missing {
		token, err := signLegacy(ctx, c.Signer, secret, account, string(uid))
		if err != nil {
			return err
		}
		data[corev1.ServiceAccountTokenKey] = token
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for key, value := range data {
		secret.Data[key] = value
	}
	secret.Annotations[corev1.ServiceAccountUIDKey] = string(uid)
	if _, err := c.Client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Filled a token secret", "secret", klog.KObj(secret), "serviceAccount", account)
	return nil
}

// signLegacy returns the token of a secret.
func signLegacy(ctx context.Context, signer Signer, secret *corev1.Secret, account, uid string) ([]byte, error) {
	claims, err := serviceaccount.EncodeLegacy(secret.Namespace, account, uid, secret.Name)
	if err != nil {
		return nil, fmt.Errorf("claims of a legacy token: %w", err)
	}
	token, err := signer.Sign(ctx, claims)
	if err != nil {
		return nil, fmt.Errorf("signing a legacy token: %w", err)
	}
	return []byte(token), nil
}

// remove deletes the secret of an account that is not there.
func (c *tokenController) remove(ctx context.Context, secret *corev1.Secret) error {
	// Of the same version too: it may have been given to another account by now.
	if err := c.Client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, unchanged(secret)); err != nil {
		return ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Deleted a token secret whose service account is gone", "secret", klog.KObj(secret))
	return nil
}

// unlist takes a secret that is gone off the list of its account.
func (c *tokenController) unlist(ctx context.Context, key view.Key) error {
	name, owned := c.owners.of(key)
	if !owned {
		return nil
	}
	if err := c.removeReference(ctx, key.Namespace, name, key.Name); ignoreNotFound(err) != nil {
		return err
	}
	c.owners.forget(key)
	return nil
}

func (c *tokenController) removeReference(ctx context.Context, namespace, name, secret string) error {
	obj, err := c.Index.ServiceAccounts.Object(ctx, namespace, name)
	if err != nil {
		return err
	}
	account := obj.(*corev1.ServiceAccount)
	listed := len(account.Secrets)
	account.Secrets = slices.DeleteFunc(account.Secrets, func(ref corev1.ObjectReference) bool { return ref.Name == secret })
	if len(account.Secrets) == listed {
		return nil
	}
	_, err = c.Client.CoreV1().ServiceAccounts(namespace).Update(ctx, account, metav1.UpdateOptions{})
	return err
}
