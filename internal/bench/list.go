package main

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// perList is how many reviews a list has.
const perList = 100

func reviewLists(*site) string { return "/apis/mintmark.io/v1alpha1/tokenreviewlists" }

// listsOf makes lists of the reviews that a function makes. With fewer reviews than a list has, they are repeated.
func listsOf(reviews func(context.Context, *site, int) ([][]byte, error)) func(context.Context, *site, int) ([][]byte, error) {
	return func(ctx context.Context, s *site, n int) ([][]byte, error) {
		single, err := reviews(ctx, s, n*perList)
		if err != nil {
			return nil, err
		}
		lists := make([][]byte, max(len(single)/perList, 1))
		for i := range lists {
			list := v1alpha1.TokenReviewList{TypeMeta: metav1.TypeMeta{Kind: "TokenReviewList", APIVersion: v1alpha1.SchemeGroupVersion.String()}}
			for j := range perList {
				var one authenticationv1.TokenReview
				if err := json.Unmarshal(single[(i*perList+j)%len(single)], &one); err != nil {
					return nil, err
				}
				list.Spec.Reviews = append(list.Spec.Reviews, one.Spec)
			}
			if lists[i], err = json.Marshal(&list); err != nil {
				return nil, err
			}
		}
		return lists, nil
	}
}

func acceptedAll(s *site, body []byte) error {
	var list v1alpha1.TokenReviewList
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	if len(list.Status.Results) != perList {
		return fmt.Errorf("%d results", len(list.Status.Results))
	}
	for _, result := range list.Status.Results {
		if result.Status == nil || !result.Status.Authenticated || result.Status.User.Username != s.username() {
			return errRefused
		}
	}
	return nil
}
