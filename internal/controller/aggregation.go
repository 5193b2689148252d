package controller

import (
	"context"
	"encoding/json"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/view"
)

// aggregationController is the clusterrole-aggregation-controller: cluster roles with an aggregation rule get the rules
// of the cluster roles that it selects. Its keys are names of cluster roles.
type aggregationController struct {
	Config
	queue *loop[string]
}

func newAggregationController(cfg Config) func(context.Context) {
	if cfg.Roles == nil {
		return nil
	}
	c := &aggregationController{Config: cfg, queue: newLoop[string](cfg.Clock)}
	// Any role may aggregate the one that changed. Roles with an aggregation rule are few, and comparing is cheap.
	cfg.Roles.ClusterRoles.OnChange(func(view.Key, runtime.Object) {
		c.queue.Add("")
	})
	return func(ctx context.Context) {
		c.queue.run(ctx, func() []string { return []string{""} }, c.gather)
	}
}

// gather updates the rules of a role. The empty name stands for all roles with an aggregation rule.
func (c *aggregationController) gather(ctx context.Context, name string) (time.Duration, error) {
	if name == "" {
		for _, name := range c.Roles.Gathering() {
			c.queue.Add(name)
		}
		return 0, nil
	}
	role, aggregated, err := c.Roles.AggregatedRules(name)
	if err != nil || role == nil || equality.Semantic.DeepEqual(role.Rules, aggregated) {
		return 0, err
	}
	// The version is that of which the rules were gathered: a patch fails that comes late, when another replica has gathered
	// newer rules, and one that would make the role anew.
	patch, err := json.Marshal(map[string]any{
		"apiVersion": rbacv1.SchemeGroupVersion.String(),
		"kind":       "ClusterRole",
		"metadata":   map[string]any{"name": name, "uid": role.UID, "resourceVersion": role.ResourceVersion},
		"rules":      aggregated,
	})
	if err != nil {
		return 0, err
	}
	force := true
	_, err = c.Client.RbacV1().ClusterRoles().Patch(ctx, name, types.ApplyPatchType, patch, metav1.PatchOptions{
		FieldManager: "clusterrole-aggregation-controller", Force: &force,
	})
	if err == nil {
		klog.FromContext(ctx).V(2).Info("Aggregated the rules of a cluster role", "clusterRole", name, "rules", len(aggregated))
	}
	return 0, ignoreNotFound(err)
}
