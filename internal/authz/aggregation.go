package authz

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mintmark/mintmark/internal/view"
)

// Gathering returns the names of the cluster roles that have an aggregation rule. The default roles come in the order view,
// edit, admin, since each aggregates the one before. Another order gives the same result, but takes more rounds.
func (x *Index) Gathering() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var names []string
	for key, r := range x.roles {
		if r.aggregation != nil {
			names = append(names, key.Name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names) // view, edit, admin
	return names
}

// AggregatedRules returns a cluster role, with its UID, version and rules, and the rules that it should have: the rules of the
// cluster roles that it selects, in the order of selectors and names, each rule once. Both are nil for a role that has no
// aggregation rule or doesn't exist.
func (x *Index) AggregatedRules(name string) (now *rbacv1.ClusterRole, aggregated []rbacv1.PolicyRule, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.roles[view.Key{Name: name}]
	if r == nil || r.aggregation == nil {
		return nil, nil, nil
	}
	var sources []string
	for key := range x.roles {
		if key.Namespace == "" && key.Name != name {
			sources = append(sources, key.Name)
		}
	}
	slices.Sort(sources)
	aggregated = []rbacv1.PolicyRule{}
	for i := range r.aggregation.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&r.aggregation.ClusterRoleSelectors[i])
		if err != nil {
			return nil, nil, err
		}
		for _, source := range sources {
			from := x.roles[view.Key{Name: source}]
			if !selector.Matches(labels.Set(from.meta.Labels)) {
				continue
			}
			for _, rule := range policy(from.rules) {
				if !slices.ContainsFunc(aggregated, func(g rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(g, rule) }) {
					aggregated = append(aggregated, rule)
				}
			}
		}
	}
	return &rbacv1.ClusterRole{ObjectMeta: r.meta, Rules: policy(r.rules)}, aggregated, nil
}
