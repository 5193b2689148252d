package webhookconformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"
)

func clientChecks() []check {
	return []check{
		{
			"kube-apiserver/refuses", "A kube-apiserver refuses an unknown token, and has no error of the call.",
			"See the checks above that failed.", (*suite).checkClientRefuses,
		},
		{
			"kube-apiserver/accepts", "A kube-apiserver accepts the good token.",
			"See the checks above that failed.", (*suite).checkClientAccepts,
		},
	}
}

// clientAsks calls the webhook with the library that kube-apiserver calls it with, without its retries, and returns what it reads.
func (s *suite) clientAsks(token string) (authenticationv1.TokenReviewStatus, error) {
	group := schema.GroupVersion{Group: authenticationv1.GroupName, Version: s.version}
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{authenticationv1.AddToScheme, authenticationv1beta1.AddToScheme} {
		if err := add(known); err != nil {
			return authenticationv1.TokenReviewStatus{}, err
		}
	}
	metav1.AddToGroupVersion(known, metav1.Unversioned)
	client, err := webhookutil.NewGenericWebhook(known, serializer.NewCodecFactory(known), rest.CopyConfig(s.config), []schema.GroupVersion{group}, wait.Backoff{Steps: 1})
	if err != nil {
		return authenticationv1.TokenReviewStatus{}, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, 2*s.options.Timeout)
	defer cancel()
	if s.version == authenticationv1.SchemeGroupVersion.Version {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{s.options.Audience}}}
		err = client.RestClient.Post().Body(review).Do(ctx).Into(review)
		return review.Status, err
	}
	review := &authenticationv1beta1.TokenReview{Spec: authenticationv1beta1.TokenReviewSpec{Token: token, Audiences: []string{s.options.Audience}}}
	err = client.RestClient.Post().Body(review).Do(ctx).Into(review)
	return authenticationv1.TokenReviewStatus{Authenticated: review.Status.Authenticated, Audiences: review.Status.Audiences}, err
}

// clientAccepts reports whether a kube-apiserver accepts a token: it looks at the audiences first.
func (s *suite) clientAccepts(token string) (bool, error) {
	status, err := s.clientAsks(token)
	if err != nil {
		return false, fmt.Errorf("the call fails: %.300s", s.withoutTokens(err).Error())
	}
	meant := len(status.Audiences) == 0 || slices.Contains(status.Audiences, s.options.Audience)
	return meant && status.Authenticated, nil
}

func (s *suite) checkClientRefuses() error {
	if a := s.known["unknown"]; a == nil || a.err != nil {
		return skipped("there is no answer")
	}
	ok, err := s.clientAccepts(unknownToken)
	if ok {
		return errors.New("it accepts it")
	}
	return err
}

func (s *suite) checkClientAccepts() error {
	if s.options.Token == "" {
		return skipped("no good token was given")
	}
	if a := s.known["unknown"]; a == nil || a.err != nil {
		return skipped("there is no answer")
	}
	ok, err := s.clientAccepts(s.options.Token)
	if err == nil && !ok {
		return errors.New("it refuses it")
	}
	return err
}
