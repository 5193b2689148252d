package controller

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// secretPage is how many token secrets are read at a time.
const secretPage = 200

// resign signs tokens in secrets anew whose key is about to go, and notes that the key has none any more. This
// controller alone does so; a client that holds a copy of such a token reads its secret again.
func (c *signingKeyController) resign(ctx context.Context, schedule *signingkey.Schedule, now time.Time) error {
	var going []string
	var lives []*signingkey.Life
	for i := range schedule.Keys {
		life := &schedule.Keys[i]
		if life.Key.Status.LegacyTokens && life.State == v1alpha1.SigningKeyRetired && !now.Before(withoutLegacyTokens(life).Add(-resignBefore)) {
			going, lives = append(going, life.Key.Spec.KeyID), append(lives, life)
		}
	}
	if len(going) == 0 || c.Signer == nil {
		return nil
	}
	held, err := c.resignSecrets(ctx, going)
	if err != nil {
		return err
	}
	for _, life := range lives {
		if held[life.Key.Spec.KeyID] > 0 {
			klog.FromContext(ctx).Info("A retired signing key is kept, since immutable secrets hold its tokens: delete these secrets, or make them anew",
				"key", life.Key.Name, "secrets", held[life.Key.Spec.KeyID])
			continue
		}
		if err := Leading(ctx); err != nil {
			return err
		}
		err := c.SigningKeys.Store.Note(ctx, life.Key.Name, func(key *v1alpha1.SigningKey) bool {
			changed := key.Status.LegacyTokens
			key.Status.LegacyTokens = false
			return changed
		})
		if ignoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// withoutLegacyTokens is when a key would be gone if it had no tokens in secrets.
func withoutLegacyTokens(life *signingkey.Life) time.Time {
	key := life.Key.DeepCopy()
	key.Status.LegacyTokens = false
	end := life.RetiredSince
	if until := key.Status.TokensUntil; until != nil && until.After(end) {
		end = until.Time
	}
	return end.Add(boundobject.Leeway + signingkey.ClockSkew)
}

// resignSecrets signs the tokens of keys anew, and returns how many tokens of each stay because their secret is immutable.
// A token that names no key may be of any.
func (c *signingKeyController) resignSecrets(ctx context.Context, going []string) (held map[string]int, err error) {
	held = map[string]int{}
	options := metav1.ListOptions{
		Limit:         secretPage,
		FieldSelector: fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)).String(),
	}
	for {
		list, err := c.Client.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			secret := &list.Items[i]
			token := secret.Data[corev1.ServiceAccountTokenKey]
			id := keyIDOf(token)
			if len(token) == 0 || id != "" && !slices.Contains(going, id) || secret.DeletionTimestamp != nil {
				continue
			}
			if secret.Immutable != nil && *secret.Immutable {
				count(held, id, going)
				continue
			}
			if err := c.resignSecret(ctx, secret); err != nil {
				return nil, err
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return held, nil
		}
	}
}

// count counts a token of a key, or of all if it names none.
func count(held map[string]int, id string, all []string) {
	if id != "" {
		all = []string{id}
	}
	for _, id := range all {
		held[id]++
	}
}

// resignSecret puts a new token into a secret.
func (c *signingKeyController) resignSecret(ctx context.Context, secret *corev1.Secret) error {
	account, uid := secret.Annotations[corev1.ServiceAccountNameKey], secret.Annotations[corev1.ServiceAccountUIDKey]
	if account == "" || uid == "" {
		return nil // the serviceaccount-token-controller has not filled it, so its token is good for nothing
	}
	token, err := signLegacy(ctx, c.Signer, secret, account, uid)
	if err != nil {
		return err
	}
	secret.Data[corev1.ServiceAccountTokenKey] = token
	if _, err := c.Client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{}); ignoreNotFound(err) != nil {
		return fmt.Errorf("signing the token in the secret %s/%s anew: %w", secret.Namespace, secret.Name, err)
	}
	klog.FromContext(ctx).V(2).Info("Signed the token in a secret anew, since its key goes", "secret", klog.KObj(secret))
	return nil
}

// keyIDOf returns the key id in the header of a token, empty if there is none.
func keyIDOf(token []byte) string {
	encoded, _, _ := strings.Cut(string(token), ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if json.Unmarshal(text, &header) != nil {
		return ""
	}
	return header.KeyID
}
