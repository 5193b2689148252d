package tokenreview

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/view"
)

// asking returns the context in which an authenticator is asked.
func asking(ctx context.Context, asked authenticator.Audiences) context.Context {
	ctx = withoutValues(ctx)
	if len(asked) > 0 {
		ctx = authenticator.WithAudiences(ctx, asked)
	}
	return ctx
}

// valueless is a context that ends with another one and carries none of its values: warnings and audit annotations that
// arise while a token is reviewed belong to the token, not to the request for the review. An authorized caller waits for
// the review, so the reads that it takes are not paced.
type valueless struct{ context.Context }

func withoutValues(ctx context.Context) context.Context { return valueless{ctx} }

// Value knows that reads are not paced, when they end, and the event of the review.
func (v valueless) Value(key any) any {
	switch key.(type) {
	case view.UnpacedKey:
		return true
	case view.ReadsEndKey:
		return v.Context.Value(key)
	case audittrail.EventKey:
		return v.Context
	}
	return nil
}
