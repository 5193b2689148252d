package fastpath

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
)

// decode reads the object in the body. It reports false for one that says more than a client needs to say.
func (c *call) decode() bool {
	if c.format == inProtobuf {
		return c.decodeProtobuf()
	}
	s := &scanner{text: string(c.body.read)}
	if c.route == reviews {
		c.review.Spec = s.review()
	} else {
		c.token.Spec = s.request()
	}
	return s.end() && c.complete()
}

// complete reports whether the object is one that could be answered with success. Without a token there is nothing to
// review.
func (c *call) complete() bool { return c.route == requests || c.review.Spec.Token != "" }

var (
	objectMembers  = []string{"kind", "apiVersion", "spec", "metadata", "status"}
	reviewMembers  = []string{"token", "audiences"}
	requestMembers = []string{"audiences", "expirationSeconds", "boundObjectRef"}
	boundMembers   = []string{"kind", "apiVersion", "name", "uid"}
	reviewStatus   = []string{"user"}
	requestStatus  = []string{"token", "expirationTimestamp"}
	metaMembers    = []string{"creationTimestamp"}
)

// typed takes an object of a kind, which need not say so: the path does. What clients send as its metadata and status is
// empty.
func (s *scanner) typed(kind string, spec, status func()) {
	s.object(objectMembers, func(place int) {
		switch objectMembers[place] {
		case "kind":
			s.must(kind)
		case "apiVersion":
			s.must("authentication.k8s.io/v1")
		case "spec":
			spec()
		case "metadata":
			s.object(metaMembers, func(int) { s.mustNull() })
		case "status":
			status()
		}
	})
}

func (s *scanner) review() (spec authenticationv1.TokenReviewSpec) {
	s.typed("TokenReview", func() {
		s.object(reviewMembers, func(place int) {
			switch reviewMembers[place] {
			case "token":
				spec.Token = s.string()
			case "audiences":
				spec.Audiences = s.strings()
			}
		})
	}, func() {
		s.object(reviewStatus, func(int) { s.object(nil, nil) })
	})
	return spec
}

func (s *scanner) request() (spec authenticationv1.TokenRequestSpec) {
	s.typed("TokenRequest", func() {
		s.object(requestMembers, func(place int) {
			switch requestMembers[place] {
			case "audiences":
				spec.Audiences = s.strings()
			case "expirationSeconds":
				if !s.null() {
					seconds := s.number()
					spec.ExpirationSeconds = &seconds
				}
			case "boundObjectRef":
				if !s.null() {
					spec.BoundObjectRef = s.boundObject()
				}
			}
		})
	}, func() {
		s.object(requestStatus, func(place int) {
			switch requestStatus[place] {
			case "token":
				s.must("")
			case "expirationTimestamp":
				s.mustNull()
			}
		})
	})
	return spec
}

func (s *scanner) boundObject() *authenticationv1.BoundObjectReference {
	ref := &authenticationv1.BoundObjectReference{}
	s.object(boundMembers, func(place int) {
		value := s.string()
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
