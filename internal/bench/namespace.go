package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Tests, which look at no figure but whether it is there, set both to less.
var (
	// listed is how many accounts the namespace has that is listed and watched, whatever else is stored.
	listed = 100
	// lookTimes is how often it is listed, and how many events of it are waited for.
	lookTimes = 30
)

// lookAtNamespace lists the accounts of a namespace of its own again and again, and watches it while further ones are made. It
// returns the median time of a list, and from the acknowledgement of a write until the watch has told of it.
func lookAtNamespace(ctx context.Context, s *site) (list, watch time.Duration, err error) {
	namespaces := s.client.CoreV1().Namespaces()
	own, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "mintmark-bench-listed-"}}, metav1.CreateOptions{})
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		err = errors.Join(err, namespaces.Delete(context.WithoutCancel(ctx), own.Name, metav1.DeleteOptions{}))
	}()
	accounts := s.client.CoreV1().ServiceAccounts(own.Name)
	for i := range listed {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("listed-%d", i)}}
		if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return 0, 0, err
		}
	}
	var lists, watches []time.Duration
	var version string
	for range lookTimes {
		began := time.Now()
		found, err := accounts.List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, 0, err
		}
		lists = append(lists, time.Since(began))
		if version = found.ResourceVersion; len(found.Items) < listed {
			return 0, 0, fmt.Errorf("the server lists %d accounts", len(found.Items))
		}
	}
	events, err := accounts.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return 0, 0, err
	}
	defer events.Stop()
	for i := range lookTimes {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("watched-%d", i)}}
		if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return 0, 0, err
		}
		acknowledged := time.Now()
		select {
		case _, ok := <-events.ResultChan():
			if !ok {
				return 0, 0, errors.New("the watch has ended")
			}
		case <-time.After(seenTimeout):
			return 0, 0, errors.New("the watch tells nothing")
		}
		watches = append(watches, time.Since(acknowledged))
	}
	slices.Sort(lists)
	slices.Sort(watches)
	return percentile(lists, 50), percentile(watches, 50), nil
}
