package apiserver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// replica is a server, as the players of TestNeverStale use it.
type replica struct{ rest.Interface }

// holder is a finalizer.
const holder = "example.com/holder"

func (o object) path() string {
	if o.kind == "Node" {
		return "/api/v1/nodes"
	}
	return "/api/v1/namespaces/default/" + strings.ToLower(o.kind) + "s"
}

// create returns the UID of the new object. A pod is of the account of its name, and on a node, since one that isn't has
// no grace.
func (r replica) create(ctx context.Context, o object, held bool) (uid string, err error) {
	meta := metav1.ObjectMeta{Name: o.name}
	if held {
		meta.Finalizers = []string{holder}
	}
	body := map[string]any{"apiVersion": "v1", "kind": o.kind, "metadata": meta}
	if o.kind == "Pod" {
		body["spec"] = map[string]any{"serviceAccountName": o.name, "nodeName": "worker", "containers": []any{map[string]any{"name": "app", "image": "app"}}}
	}
	var made metav1.PartialObjectMetadata
	err = do(ctx, r.Post().AbsPath(o.path()), body, &made)
	return string(made.UID), err
}

// remove deletes an object.
func (r replica) remove(ctx context.Context, o object, grace int64) error {
	return do(ctx, r.Delete().AbsPath(o.path(), o.name), metav1.DeleteOptions{GracePeriodSeconds: &grace}, nil)
}

// release takes the finalizer from an object.
func (r replica) release(ctx context.Context, o object) error {
	return do(ctx, r.Patch(types.MergePatchType).AbsPath(o.path(), o.name), map[string]any{"metadata": map[string]any{"finalizers": nil}}, nil)
}

// label changes an object in a way that doesn't matter.
func (r replica) label(ctx context.Context, o object, value string) error {
	return do(ctx, r.Patch(types.MergePatchType).AbsPath(o.path(), o.name),
		map[string]any{"metadata": map[string]any{"labels": map[string]string{"label": value}}}, nil)
}

// issue requests a token of the account of the object's name, over either transport.
func (r replica) issue(ctx context.Context, o object, short bool) (*token, error) {
	var request authenticationv1.TokenRequest
	if o.kind != "ServiceAccount" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: o.kind, APIVersion: "v1", Name: o.name}
	}
	var issued authenticationv1.TokenRequest
	account := object{"ServiceAccount", o.name}
	if err := do(ctx, over(r.Post().AbsPath(account.path(), o.name, "token"), short), request, &issued); err != nil {
		return nil, err
	}
	return readToken(issued.Status.Token)
}

// review reports whether the replica accepts a token, over either transport.
func (r replica) review(ctx context.Context, text string, short bool) (bool, error) {
	request := authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: text}}
	var answer authenticationv1.TokenReview
	err := do(ctx, over(r.Post().AbsPath("/apis/authentication.k8s.io/v1/tokenreviews"), short), request, &answer)
	return answer.Status.Authenticated, err
}

// over has a request take the short way, or makes it an uncommon one, which takes the long way.
func over(request *rest.Request, short bool) *rest.Request {
	request.SetHeader("Content-Type", runtime.ContentTypeJSON)
	if short {
		return request
	}
	return request.Param("fieldManager", "test")
}

func do(ctx context.Context, request *rest.Request, body, answer any) error {
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	got, err := request.Body(sent).Do(ctx).Raw()
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(got, answer)
}

// readToken reads from a token what it is bound to. The node of a pod is only mentioned.
func readToken(text string) (*token, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("no token was issued")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	type ref struct{ Name, UID string }
	var claims struct {
		Kubernetes struct {
			ServiceAccount    ref
			Pod, Secret, Node *ref
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("the claims: %w", err)
	}
	k := claims.Kubernetes
	tk := &token{text: text, bonds: map[object]string{{"ServiceAccount", k.ServiceAccount.Name}: k.ServiceAccount.UID}, refusedBy: map[int]bool{}}
	switch {
	case k.Pod != nil:
		tk.bonds[object{"Pod", k.Pod.Name}] = k.Pod.UID
	case k.Secret != nil:
		tk.bonds[object{"Secret", k.Secret.Name}] = k.Secret.UID
	case k.Node != nil:
		tk.bonds[object{"Node", k.Node.Name}] = k.Node.UID
	}
	return tk, nil
}
