package projectedvolume

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// tokenKey tells the tokens of a volume apart. Sources that agree in it share one.
type tokenKey struct {
	audience string
	seconds  int64
}

func keyOf(source *corev1.ServiceAccountTokenProjection) tokenKey {
	key := tokenKey{audience: source.Audience}
	if source.ExpirationSeconds != nil {
		key.seconds = *source.ExpirationSeconds
	}
	return key
}

// token is a token in use.
type token struct {
	value string
	life
}

// requestToken asks for a token that is bound to the pod.
func requestToken(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, key tokenKey, now func() instant) (token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if key.audience != "" {
		request.Spec.Audiences = []string{key.audience}
	}
	if key.seconds != 0 {
		request.Spec.ExpirationSeconds = &key.seconds
	}
	asked := now()
	answer, err := client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if isMissing(err, pod.Spec.ServiceAccountName) {
		return token{}, fmt.Errorf("failed to fetch token: %w: create the account, or make the pod anew with another", err)
	}
	if err != nil {
		return token{}, fmt.Errorf("failed to fetch token: %w", err)
	}
	if strings.TrimSpace(answer.Status.Token) == "" {
		return token{}, errors.New("failed to fetch token: the server's answer has no token in it")
	}
	var seconds int64
	if answer.Spec.ExpirationSeconds != nil {
		seconds = *answer.Spec.ExpirationSeconds
	}
	life := newLife(asked, seconds, answer.Status.ExpirationTimestamp.Time)
	if life.end.until(asked) <= 0 {
		return token{}, errors.New("failed to fetch token: the server's answer has a token that is over already")
	}
	return token{answer.Status.Token, life}, nil
}

// isMissing reports whether an error is the answer that an account does not exist.
func isMissing(err error, account string) bool {
	status := apierrors.APIStatus(nil)
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "serviceaccounts" && details.Name == account
}

// isSoon reports whether an error may be the server's delay: it knows of the pod in one place and not yet in another.
func isSoon(err error) bool {
	if !apierrors.IsForbidden(err) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "no relationship found") || strings.Contains(text, "not found in pod spec volume")
}
