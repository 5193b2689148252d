package trustedissuer

import (
	"cmp"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/view"
)

// change takes in that an object came, changed or went. The view is locked meanwhile, so a write of this process counts before
// it is acknowledged.
func (i *Issuers) change(key view.Key, obj runtime.Object) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if before, ok := i.objects[key.Name]; ok {
		delete(i.objects, key.Name)
		url := before.Spec.URL
		i.named[url] = slices.DeleteFunc(i.named[url], func(name string) bool { return name == key.Name })
		if len(i.named[url]) == 0 {
			delete(i.named, url)
		}
		defer i.route(url)
	}
	if after, ok := obj.(*v1alpha1.TrustedIssuer); ok && after != nil {
		i.objects[key.Name] = after
		i.named[after.Spec.URL] = append(i.named[after.Spec.URL], key.Name)
		defer i.route(after.Spec.URL)
	}
}

// route has the tokens with a claim iss checked by the object that is to be used. The lock is held.
func (i *Issuers) route(url string) {
	before := i.known(url)
	used := i.used(url)
	switch {
	case used == nil && before == nil:
		return
	case used == nil:
		i.byURL.Delete(url)
		i.own.Issuers.Dec()
		before.gone.Store(true)
		before.keys.end()
		return
	case before != nil && before.object.UID == used.UID && reflect.DeepEqual(before.object.Spec, used.Spec):
		return // the metadata or the status
	}
	after := &issuer{object: used}
	if before == nil {
		i.own.Issuers.Inc()
	}
	if before != nil && before.object.UID == used.UID && samePlace(&before.object.Spec, &used.Spec) {
		after.keys = before.keys
	} else {
		if before != nil {
			before.keys.end()
		}
		after.keys = newKeys(&i.reads, i.Client, used)
		if i.begun {
			after.keys.schedule(spread(firstRead))
		}
	}
	i.byURL.Store(url, after)
	if before != nil {
		before.gone.Store(true)
	}
}

// used returns the object that is used for a claim iss: of several the oldest, so that all replicas agree. It is nil if there is
// none, or if the issuer is one of this server's own.
func (i *Issuers) used(url string) *v1alpha1.TrustedIssuer {
	names := i.named[url]
	if len(names) == 0 || slices.Contains(i.OwnIssuers, url) {
		return nil
	}
	oldest := slices.MinFunc(names, func(a, b string) int {
		one, other := i.objects[a], i.objects[b]
		if d := one.CreationTimestamp.Compare(other.CreationTimestamp.Time); d != 0 {
			return d
		}
		return cmp.Compare(a, b)
	})
	return i.objects[oldest]
}

// samePlace reports whether two specs have their keys in the same place.
func samePlace(a, b *v1alpha1.TrustedIssuerSpec) bool {
	return a.URL == b.URL && a.DiscoveryURL == b.DiscoveryURL && a.JWKSURI == b.JWKSURI && a.JWKS == b.JWKS &&
		a.CertificateAuthority == b.CertificateAuthority
}

// known returns the issuer that is used for a claim iss, or nil.
func (i *Issuers) known(url string) *issuer {
	if known, ok := i.byURL.Load(url); ok {
		return known.(*issuer)
	}
	return nil
}
