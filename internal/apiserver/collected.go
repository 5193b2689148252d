package apiserver

import (
	"fmt"

	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/scheme"
)

// collectedResources returns the stored resources, which are those with a view, as the garbage collector needs them. A resource
// without links is left out.
func collectedResources(groups []registry.Group, views *views) ([]controller.Resource, error) {
	var resources []controller.Resource
	for _, group := range groups {
		for name, storage := range group.Resources {
			view := views.of(group.Version.WithResource(name).GroupResource())
			if view == nil || !view.HasLinks() {
				continue
			}
			resource := controller.Resource{
				GroupVersionResource: group.Version.WithResource(name),
				Namespaced:           storage.(rest.Scoper).NamespaceScoped(),
				View:                 view,
			}
			kinds, _, err := scheme.Scheme.ObjectKinds(storage.New())
			if err != nil {
				return nil, fmt.Errorf("the kind of %s: %w", name, err)
			}
			for _, kind := range kinds {
				if kind.GroupVersion() == group.Version {
					resource.Kind = kind.Kind
				}
			}
			resources = append(resources, resource)
		}
	}
	return resources, nil
}
