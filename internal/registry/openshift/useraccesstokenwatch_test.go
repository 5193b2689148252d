package openshift

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	oauthv1 "github.com/openshift/api/oauth/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func accessToken(name, user string) *oauthv1.OAuthAccessToken {
	return &oauthv1.OAuthAccessToken{ObjectMeta: metav1.ObjectMeta{Name: name}, UserName: user}
}

func TestOwnEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := watch.NewFake()
		own := watchOwn(events, "ada")
		go func() {
			events.Add(accessToken("sha256~1", "ada"))
			events.Add(accessToken("sha256~2", "bob"))
			events.Add(accessToken("plain", "ada"))
			events.Modify(accessToken("sha256~3", ""))
			events.Action(watch.Bookmark, &oauthv1.OAuthAccessToken{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7"}})
			events.Delete(accessToken("sha256~1", "ada"))
			events.Error(&metav1.Status{Code: 410})
			events.Stop()
		}()
		type seen struct{ Type, What string }
		var got []seen
		for event := range own.ResultChan() {
			switch obj := event.Object.(type) {
			case *oauthv1.UserOAuthAccessToken:
				got = append(got, seen{string(event.Type), obj.Name + obj.ResourceVersion})
			case *metav1.Status:
				got = append(got, seen{string(event.Type), "status"})
			default:
				t.Errorf("an event with a %T", obj)
			}
		}
		want := []seen{{"ADDED", "sha256~1"}, {"BOOKMARK", "7"}, {"DELETED", "sha256~1"}, {"ERROR", "status"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// Whoever no longer listens leaves nothing running: the test would not end.
func TestOwnEventsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := watch.NewFake()
		own := watchOwn(events, "ada")
		events.Add(accessToken("sha256~1", "ada")) // taken, and to be handed on to nobody
		own.Stop()
		own.Stop()
		synctest.Wait()
		if _, open := <-own.ResultChan(); open {
			t.Error("an event after the end")
		}
		if !events.IsStopped() {
			t.Error("the watch behind goes on")
		}
	})
}

func TestNobodyOwnsTokens(t *testing.T) {
	if owns("", accessToken("sha256~1", "")) {
		t.Error("nobody owns a token without a user")
	}
}
