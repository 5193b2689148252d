package snapshot

import (
	"context"
	"crypto/rand"
	"fmt"
	"path"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/scheme"
)

// storeTimeout bounds the write.
const storeTimeout = 10 * time.Second

// revoke stores a TokenRevocation that covers all tokens that were issued before an instant, as a server stores one. It returns its
// name.
func revoke(ctx context.Context, cfg RestoreConfig, endpoint string, before time.Time) (string, error) {
	now := metav1.NewTime(time.Now().UTC().Truncate(time.Second))
	entry := &mintmarkv1alpha1.TokenRevocation{
		ObjectMeta: metav1.ObjectMeta{
			Name: "restored-" + strings.ToLower(rand.Text()[:8]), UID: uuid.NewUUID(), CreationTimestamp: now, Generation: 1,
		},
		Spec:   mintmarkv1alpha1.TokenRevocationSpec{IssuedBefore: &metav1.Time{Time: before}, Reason: "a snapshot was restored"},
		Status: mintmarkv1alpha1.TokenRevocationStatus{RevokedBy: "mintmark snapshot restore", RevokedAt: &now},
	}
	data, err := runtime.Encode(scheme.Codecs.LegacyCodec(mintmarkv1alpha1.SchemeGroupVersion), entry)
	if err != nil {
		return "", err
	}
	resource := mintmarkv1alpha1.Resource("tokenrevocations")
	key := path.Join("/", cfg.Prefix, resource.Resource, entry.Name)
	if cfg.EncryptionConfiguration != "" {
		loading, cancel := context.WithCancel(ctx)
		defer cancel()
		loaded, err := encryptionconfig.LoadEncryptionConfig(loading, cfg.EncryptionConfiguration, false, "mintmark")
		if err != nil {
			return "", fmt.Errorf("--encryption-provider-config %s: %w", cfg.EncryptionConfiguration, err)
		}
		transformer := encryptionconfig.StaticTransformers(loaded.Transformers).TransformerForResource(resource)
		if data, err = transformer.TransformToStorage(ctx, data, value.DefaultContext(key)); err != nil {
			return "", fmt.Errorf("encrypting the revocation: %w", err)
		}
	}
	client, err := etcd.Connect(storagebackend.TransportConfig{ServerList: []string{endpoint}})
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	done, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Then(clientv3.OpPut(key, string(data))).Commit()
	switch {
	case err != nil:
		return "", fmt.Errorf("storing the revocation: %w", err)
	case !done.Succeeded:
		return "", fmt.Errorf("there is something under %s already", key)
	}
	return entry.Name, nil
}

// wholeSecond rounds an instant up: tokens have whole seconds in them.
func wholeSecond(t time.Time) time.Time {
	t = t.UTC()
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}
