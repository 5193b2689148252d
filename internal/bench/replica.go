package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// replica is one of several servers over one store.
type replica struct {
	client kubernetes.Interface
	http   *http.Client
	host   string
}

// callTimeout bounds one request.
const callTimeout = 10 * time.Second

func newReplica(admin *rest.Config) (*replica, error) {
	config := rest.CopyConfig(admin)
	config.QPS, config.Timeout = -1, callTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	plain, err := rest.HTTPClientFor(config)
	return &replica{client, plain, config.Host}, err
}

// lived is a token that will end, and the account that it is of.
type lived struct {
	account, token string
	body           []byte // of a review
}

// live makes an account with a token.
func (r *replica) live(ctx context.Context) (*lived, error) {
	name := "app-" + strings.ToLower(rand.Text())
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	accounts := r.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	made, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	body, err := review(made.Status.Token)
	return &lived{name, made.Status.Token, body}, err
}

// remove deletes an account. One that is gone was deleted by an earlier call whose answer was lost.
func (r *replica) remove(ctx context.Context, account string) error {
	err := r.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Delete(ctx, account, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// revoke takes a token back.
func (r *replica) revoke(ctx context.Context, token string) error {
	body, err := json.Marshal(map[string]any{"apiVersion": "mintmark.io/v1alpha1", "kind": "TokenRevocation", "spec": map[string]string{"token": token}})
	if err != nil {
		return err
	}
	return r.client.CoreV1().RESTClient().Post().AbsPath(revocationsPath).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
}

// accepts returns an error unless a token is good.
func (r *replica) accepts(ctx context.Context, t *lived) error {
	good, err := r.review(ctx, t)
	if err == nil && !good {
		return errors.New("a new token is refused")
	}
	return err
}

// review reports whether a token is good.
func (r *replica) review(ctx context.Context, t *lived) (good bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.host+reviewPath, bytes.NewReader(t.body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.http.Do(request)
	if err != nil {
		return false, err
	}
	answer := &authenticationv1.TokenReview{}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusCreated {
		return false, fmt.Errorf("a review is answered with %s", response.Status)
	}
	err = json.Unmarshal(text, answer)
	return answer.Status.Authenticated, err
}

// leader returns the member that leads.
func (c *cluster) leader(ctx context.Context) (*member, error) {
	for _, m := range c.members {
		client, err := etcdClient(m.client)
		if err != nil {
			return nil, err
		}
		status, err := client.Status(ctx, m.client)
		if err := errors.Join(err, client.Close()); err != nil {
			return nil, err
		}
		if status.Header.GetMemberId() == status.Leader {
			return m, nil
		}
	}
	return nil, errors.New("no server of etcd leads")
}

// whole returns when each member is in step with the others.
func (c *cluster) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, etcdStart)
	defer cancel()
	for _, m := range c.members {
		client, err := etcdClient(m.client)
		if err != nil {
			return err
		}
		_, err = client.Get(ctx, "any") // linearizable
		if err := errors.Join(err, client.Close()); err != nil {
			return err
		}
	}
	return nil
}

// propagate measures how long after a write through one member a watch on another one tells of it.
func (c *cluster) propagate(ctx context.Context, n int, to *spread) error {
	writer, err := etcdClient(c.members[0].client)
	if err != nil {
		return err
	}
	defer func() { _ = writer.Close() }()
	watcher, err := etcdClient(c.members[1].client)
	if err != nil {
		return err
	}
	defer func() { _ = watcher.Close() }()
	const key = "mintmark-bench"
	events := watcher.Watch(ctx, key, clientv3.WithCreatedNotify())
	<-events
	for range n {
		if _, err := writer.Put(ctx, key, ""); err != nil {
			return err
		}
		acknowledged := time.Now()
		for told := false; !told; {
			select {
			case event, ok := <-events:
				if !ok {
					return errors.New("the watch has ended")
				}
				told = len(event.Events) > 0
			case <-time.After(seenTimeout):
				return errors.New("the watch tells nothing")
			}
		}
		to.times = append(to.times, time.Since(acknowledged))
	}
	return nil
}
