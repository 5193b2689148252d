package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// MaxErrors is how many mistakes an answer about an object names. A body of a few megabytes has room for half a million, and the
// answer would be a hundred times as long as the body.
const MaxErrors = 100

// brief is a strategy whose errors are as many as one answer names: the first ones.
type brief struct{ Strategy }

// Validate checks a new object.
func (b brief) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	return firstErrors(b.Strategy.Validate(ctx, obj))
}

// ValidateUpdate checks a change of an object.
func (b brief) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return firstErrors(b.Strategy.ValidateUpdate(ctx, obj, old))
}

func firstErrors(errs field.ErrorList) field.ErrorList {
	return errs[:min(len(errs), MaxErrors)]
}
