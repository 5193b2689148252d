package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/teststore"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// BenchmarkReview compares the review of an opaque token, of a user in three groups among many other tokens, with that of
// a service account's token whose signature is known.
func BenchmarkReview(b *testing.B) {
	token, opaque := opaqueReviewer(b)
	measure(b, "opaque", opaque, token)
	idling, reviewer := opaqueReviewer(b, idleAfter(3600))
	measure(b, "opaque that may not idle", reviewer, idling)
	measure(b, "opaque and unknown form", reviewer, "nobodys-token")
	account, ofAccounts := accountReviewer(b)
	measure(b, "service account", ofAccounts, account)
}

func measure(b *testing.B, name string, reviewer *tokenreview.Reviewer, token string) {
	b.Run(name, func(b *testing.B) {
		spec := &authenticationv1.TokenReviewSpec{Token: token}
		want := token != "nobodys-token"
		b.ReportAllocs()
		for b.Loop() {
			if status, err := reviewer.Review(context.Background(), spec); status.Authenticated != want || err != nil {
				b.Fatal("another verdict", err)
			}
		}
	})
}

func opaqueReviewer(b *testing.B, change ...func(*oauthv1.OAuthAccessToken)) (string, *tokenreview.Reviewer) {
	r := newReplica(b, newShelf(), 0)
	r.put(ada("u-ada-1"), client(seconds(3600)), group("builders", "ada"), group("ops", "ada", "bob"), group("others", "ada"))
	for i := range 10_000 {
		name, _ := oauth.ObjectName(fmt.Sprintf("%s%d", oauth.Prefix, i))
		r.put(adasToken(name, time.Now(), change...))
	}
	return oauth.Prefix + "4711", tokenreview.New(tokenreview.Config{Authenticator: r, APIAudiences: authenticator.Audiences{api}, ReasonAlone: true})
}

func accountReviewer(b *testing.B) (string, *tokenreview.Reviewer) {
	store := teststore.New(b)
	store.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}, teststore.Account("ns", "app", "u1"))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sign, err := signingkey.NewSigner(key)
	if err != nil {
		b.Fatal(err)
	}
	source, err := signingkey.NewStatic(sign, []crypto.PublicKey{sign.Public()})
	if err != nil {
		b.Fatal(err)
	}
	keys := signingkey.NewRing(source, nil)
	const issuer = "https://issuer.example"
	issued := &authenticationv1.TokenRequest{}
	err = tokenrequest.New(tokenrequest.Config{
		Issuer: issuer, APIAudiences: authenticator.Audiences{api}, Index: store.Index, Signer: keys,
	}).Issue(context.Background(), "ns", "app", issued, func(context.Context, *authenticationv1.TokenRequest) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	return issued.Status.Token, tokenreview.New(tokenreview.Config{
		Authenticator: serviceaccount.New(serviceaccount.Config{
			Issuers: []string{issuer}, APIAudiences: authenticator.Audiences{api}, Keys: keys, Index: store.Index,
		}),
		APIAudiences: authenticator.Audiences{api},
	})
}
