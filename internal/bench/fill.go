package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	// perNamespace and perNode are how many pods a namespace and a node of a cluster may have.
	perNamespace, perNode = 1000, 100
	// creator stands in the managed fields of every object, as if kubectl had made it.
	creator = "kubectl-create"
)

// fill has a server store objects.
func (o *size) fill(ctx context.Context, s *site, with stock, log io.Writer) error {
	if o.revocations {
		return fillRevocations(ctx, s, with.revocations, o.workers, log)
	}
	return fillPairs(ctx, s, with, o.workers, log)
}

// fillPairs creates service accounts and pods, as kubectl would, in a namespace to every thousand of them.
func fillPairs(ctx context.Context, s *site, with stock, workers int, log io.Writer) error {
	config := rest.CopyConfig(s.admin)
	config.QPS, config.ContentType = -1, runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(log, "creating %d service accounts and %d pods\n", with.accounts, with.pods); err != nil {
		return err
	}
	for i := 0; i < with.accounts; i += perNamespace {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceOf(i)}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return inParallel(ctx, with.accounts, workers, func(ctx context.Context, i int) error { return create(ctx, client, i, i < with.pods) })
}

// fillRevocations takes tokens back, by credential ids that no token has.
func fillRevocations(ctx context.Context, s *site, n, workers int, log io.Writer) error {
	config := rest.CopyConfig(s.admin)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(log, "revoking %d tokens\n", n); err != nil {
		return err
	}
	return inParallel(ctx, n, workers, func(ctx context.Context, _ int) error { return revoke(ctx, client).Error() })
}

var revocationsPath = "/apis/" + v1alpha1.SchemeGroupVersion.String() + "/tokenrevocations"

// revoke takes a token back by a credential id that no token has.
func revoke(ctx context.Context, client kubernetes.Interface) rest.Result {
	body := fmt.Sprintf(`{"apiVersion": %q, "kind": "TokenRevocation", "spec": {"credentialID": %q}}`, v1alpha1.SchemeGroupVersion, uuid.NewString())
	return client.CoreV1().RESTClient().Post().AbsPath(revocationsPath).SetHeader("Content-Type", runtime.ContentTypeJSON).Body([]byte(body)).Do(ctx)
}

// inParallel calls create with the numbers below n. The first error ends it.
func inParallel(ctx context.Context, n, workers int, create func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := create(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// The names of what belongs to pair number i.
func namespaceOf(i int) string { return fmt.Sprintf("team-%03d", i/perNamespace) }
func accountOf(i int) string   { return fmt.Sprintf("app-%06d", i) }
func podOf(i int) string       { return accountOf(i) + "-7d9f8b6c5-x2k4z" }
func nodeOf(i int) string      { return fmt.Sprintf("node-%04d.example.com", i/perNode) }

// create creates a service account and, if there is one, its pod.
func create(ctx context.Context, client kubernetes.Interface, i int, hasPod bool) error {
	name := accountOf(i)
	options := metav1.CreateOptions{FieldManager: creator}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().ServiceAccounts(namespaceOf(i)).Create(ctx, account, options); err != nil || !hasPod {
		return err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podOf(i), Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			ServiceAccountName: name,
			NodeName:           nodeOf(i),
			Containers:         []corev1.Container{{Name: "app", Image: "registry.example.com/team/app:v1.2.3"}},
		},
	}
	_, err := client.CoreV1().Pods(namespaceOf(i)).Create(ctx, pod, options)
	return err
}
