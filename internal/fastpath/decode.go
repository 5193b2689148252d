package fastpath

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/plainjson"
)

// reader reads what clients send.
type reader struct{ plainjson.Reader }

// decode reads the object in the body. It reports false for an object with more members than a client needs to send.
func (c *call) decode() bool {
	if c.arrival.body == inProtobuf {
		return c.decodeProtobuf()
	}
	s := reader{plainjson.NewReader(string(c.payload.body.read))}
	switch {
	case c.route.lists != nil:
		c.payload.list.Spec.Reviews = s.list()
	case c.route.reviewer != nil:
		c.payload.review.Spec = s.review()
	default:
		c.payload.token.Spec = s.request()
	}
	return s.Done() && c.complete()
}

// complete reports whether the object is one that could be answered with success. Without a token there is nothing to
// review. A list has a result for each review, so it may have one without a token.
func (c *call) complete() bool {
	if c.route.lists != nil {
		n := len(c.payload.list.Spec.Reviews)
		return 0 < n && n <= v1alpha1.MaxTokenReviews
	}
	return c.route.reviewer == nil || c.payload.review.Spec.Token != ""
}

var (
	objectMembers  = []string{"kind", "apiVersion", "spec", "metadata", "status"}
	reviewMembers  = []string{"token", "audiences"}
	requestMembers = []string{"audiences", "expirationSeconds", "boundObjectRef"}
	boundMembers   = []string{"kind", "apiVersion", "name", "uid"}
	reviewStatus   = []string{"user"}
	requestStatus  = []string{"token", "expirationTimestamp"}
	metaMembers    = []string{"creationTimestamp"}
)

// typed takes an object of a kind and version, which need not say so: the path does. What clients send as its metadata and status is
// empty.
func (s *reader) typed(kind, version string, spec, status func()) {
	s.Object(objectMembers, func(place int) {
		switch objectMembers[place] {
		case "kind":
			s.Must(kind)
		case "apiVersion":
			s.Must(version)
		case "spec":
			spec()
		case "metadata":
			s.Object(metaMembers, func(int) { s.MustNull() })
		case "status":
			status()
		}
	})
}

// apiVersion is that of reviews and requests.
const apiVersion = "authentication.k8s.io/v1"

func (s *reader) review() (spec authenticationv1.TokenReviewSpec) {
	s.typed("TokenReview", apiVersion, func() { s.reviewSpec(&spec) }, func() {
		s.Object(reviewStatus, func(int) { s.Object(nil, nil) })
	})
	return spec
}

func (s *reader) reviewSpec(spec *authenticationv1.TokenReviewSpec) {
	s.Object(reviewMembers, func(place int) {
		switch reviewMembers[place] {
		case "token":
			spec.Token = s.String()
		case "audiences":
			spec.Audiences = s.audiences()
		}
	})
}

func (s *reader) request() (spec authenticationv1.TokenRequestSpec) {
	s.typed("TokenRequest", apiVersion, func() {
		s.Object(requestMembers, func(place int) {
			switch requestMembers[place] {
			case "audiences":
				spec.Audiences = s.audiences()
			case "expirationSeconds":
				if !s.Null() {
					seconds := s.Number()
					spec.ExpirationSeconds = &seconds
				}
			case "boundObjectRef":
				if !s.Null() {
					spec.BoundObjectRef = s.boundObject()
				}
			}
		})
	}, func() {
		s.Object(requestStatus, func(place int) {
			switch requestStatus[place] {
			case "token":
				s.Must("")
			case "expirationTimestamp":
				s.MustNull()
			}
		})
	})
	return spec
}

func (s *reader) audiences() []string {
	if s.Null() {
		return nil
	}
	return s.Strings()
}

func (s *reader) boundObject() *authenticationv1.BoundObjectReference {
	ref := &authenticationv1.BoundObjectReference{}
	s.Object(boundMembers, func(place int) {
		value := s.String()
		switch boundMembers[place] {
		case "kind":
			ref.Kind = value
		case "apiVersion":
			ref.APIVersion = value
		case "name":
			ref.Name = value
		case "uid":
			ref.UID = types.UID(value)
		}
	})
	return ref
}
