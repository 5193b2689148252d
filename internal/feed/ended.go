package feed

import (
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/view"
)

// FollowObjects has the feed tell of the objects that tokens are bound to.
func (f *Feed) FollowObjects(index *boundobject.Index) {
	Follow(f, index.ServiceAccounts, bound("serviceaccounts", func(a *boundobject.ServiceAccount) (types.UID, time.Time) { return a.UID, a.Deletion }))
	Follow(f, index.Pods, bound("pods", func(p *boundobject.Pod) (types.UID, time.Time) { return p.UID, p.Deletion }))
	Follow(f, index.Nodes, bound("nodes", func(n *boundobject.Node) (types.UID, time.Time) { return n.UID, n.Deletion }))
	Follow(f, index.Secrets, ofSecret)
}

var boundSecrets = bound("secrets", func(s *boundobject.Secret) (types.UID, time.Time) { return s.UID, s.Deletion })

func ofSecret(c view.Change[boundobject.Secret]) []*v1alpha1.TokenReviewEvent {
	if events := boundSecrets(c); events != nil || c.Before == nil || !spoilt(c.Before, c.After) {
		return events
	}
	return ended("secrets", c.Key, c.Before.UID)
}

// spoilt reports whether a changed secret has another token than before, or one that is accepted no more.
func spoilt(before, after *boundobject.Secret) bool {
	return before.Type == bootstrapapi.SecretTypeBootstrapToken || // its end, its uses and its groups may be others
		before.Type == corev1.SecretTypeServiceAccountToken && (before.Token != after.Token || before.InvalidSince != after.InvalidSince)
}

// bound returns the events of a resource: when an object is gone, and, when it is being deleted, from when it counts as gone.
func bound[T any](resource string, identity func(*T) (types.UID, time.Time)) func(view.Change[T]) []*v1alpha1.TokenReviewEvent {
	return func(c view.Change[T]) (events []*v1alpha1.TokenReviewEvent) {
		var before, after types.UID
		var pending, deletion time.Time
		if c.Before != nil {
			before, pending = identity(c.Before)
		}
		if c.After != nil {
			after, deletion = identity(c.After)
		}
		if c.Before != nil && before != after {
			events = ended(resource, c.Key, before)
		}
		if !deletion.IsZero() && (before != after || !deletion.Equal(pending)) {
			ending := ended(resource, c.Key, after)
			at := metav1.NewTime(deletion.Add(boundobject.Leeway))
			ending[0].Object.EndsAt = &at
			events = append(events, ending...)
		}
		return events
	}
}

func ended(resource string, key view.Key, uid types.UID) []*v1alpha1.TokenReviewEvent {
	return []*v1alpha1.TokenReviewEvent{{Object: &v1alpha1.EndedObject{Resource: resource, Namespace: key.Namespace, Name: key.Name, UID: uid}}}
}

// FollowRevocations has the feed tell of new revocations. A revocation that is removed ends no verdict of a good token.
func (f *Feed) FollowRevocations(revoked *revocation.Set) {
	Follow(f, revoked.View, ofRevocation)
}

func ofRevocation(c view.Change[revocation.Record]) []*v1alpha1.TokenReviewEvent {
	made, ok := c.Object.(*v1alpha1.TokenRevocation)
	if !ok || c.Before != nil || made.Spec.ClientCertificate != nil {
		return nil // one that a list brought is among everything
	}
	spec := made.Spec.DeepCopy()
	spec.Token, spec.Reason = "", ""
	return []*v1alpha1.TokenReviewEvent{{Revocation: spec}}
}

// FollowOAuth has the feed tell of OpenShift's access tokens, and of the users, groups and clients that decide about them.
func (f *Feed) FollowOAuth(index *oauth.Index) {
	Follow(f, index.AccessTokens, ofAccessToken)
	Follow(f, index.Users, ofUser)
	Follow(f, index.Groups, changed[oauth.Group]("groups"))
	Follow(f, index.Clients, changed[oauth.Client]("oauthclients"))
}

func ofAccessToken(c view.Change[oauth.AccessToken]) []*v1alpha1.TokenReviewEvent {
	if c.Before == nil || c.After != nil && sameToken(*c.Before, *c.After) {
		return nil
	}
	return ended("oauthaccesstokens", c.Key, "")
}

func ofUser(c view.Change[oauth.User]) []*v1alpha1.TokenReviewEvent {
	if c.Before == nil || c.After != nil && *c.Before == *c.After {
		return nil
	}
	return ended("users", c.Key, types.UID(c.Before.UID))
}

// sameToken reports whether a token stands for the same as before. A use moves its idle deadline.
func sameToken(before, after oauth.AccessToken) bool {
	before.IdleAfter = after.IdleAfter
	return reflect.DeepEqual(before, after)
}

// changed returns an event for each change of an object that was there.
func changed[T any](resource string) func(view.Change[T]) []*v1alpha1.TokenReviewEvent {
	return func(c view.Change[T]) []*v1alpha1.TokenReviewEvent {
		if c.Before == nil {
			return nil
		}
		return ended(resource, c.Key, "")
	}
}

// FollowKeys has the feed tell of changes of the stored signing keys at once. Config.Configuration says what changed.
func (f *Feed) FollowKeys(keys *view.View[*v1alpha1.SigningKey]) {
	Follow(f, keys, func(view.Change[*v1alpha1.SigningKey]) []*v1alpha1.TokenReviewEvent {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.announce()
		return nil
	})
}

// FollowIssuers has the feed tell of trusted issuers that are trusted no more, or in another way. A change of their status is none.
func (f *Feed) FollowIssuers(issuers *view.View[*v1alpha1.TrustedIssuer]) {
	Follow(f, issuers, ofIssuer)
}

func ofIssuer(c view.Change[*v1alpha1.TrustedIssuer]) []*v1alpha1.TokenReviewEvent {
	if c.Before == nil {
		return nil
	}
	before := *c.Before
	if c.After != nil && (*c.After).UID == before.UID && (*c.After).Generation == before.Generation {
		return nil
	}
	return []*v1alpha1.TokenReviewEvent{{Issuer: before.Spec.URL}}
}
