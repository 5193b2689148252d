package authn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/wait"
	authenticationconfigmetrics "k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/apiserver/pkg/util/filesystem"
	"k8s.io/klog/v2"
)

const (
	// reloadEvery is how often the file is read if the file system doesn't tell of changes.
	reloadEvery = time.Minute
	// healthWithin is how long a new configuration has to reach all of its issuers. Until then the old one is used.
	healthWithin = time.Minute
	healthEvery  = time.Second
	// retireAfter is how long lookups of the old configuration may still run.
	retireAfter = time.Minute
)

// Run reads the file again whenever it changes, until the context ends.
func (i *issuers) Run(ctx context.Context) {
	if i.File == "" {
		<-ctx.Done()
		return
	}
	filesystem.WatchUntil(ctx, reloadEvery, i.File, func() {
		switch changed, err := i.reload(ctx); {
		case ctx.Err() != nil:
		case err != nil:
			authenticationconfigmetrics.RecordAuthenticationConfigAutomaticReloadFailure(i.ServerID)
			klog.FromContext(ctx).Error(err, "The authentication configuration can't be used; the one before stays", "file", i.File)
		case changed:
			klog.FromContext(ctx).Info("The authentication configuration has changed", "file", i.File)
		}
	}, func(err error) {
		klog.FromContext(ctx).Error(err, "The authentication configuration can't be watched; it is read once a minute", "file", i.File)
	})
}

// reload reads the file and, if it has changed and can be used, uses it from now on.
func (i *issuers) reload(ctx context.Context) (changed bool, err error) {
	data, err := os.ReadFile(i.File)
	if err != nil {
		return false, err
	}
	if bytes.Equal(data, i.tried) {
		return false, nil
	}
	next, err := i.prepare(data)
	if err != nil {
		// It is not tried again until it changes.
		i.tried = data
		return false, err
	}
	if err := waitForHealth(ctx, next); err != nil {
		next.end()
		return false, err
	}
	old := i.current.Swap(next)
	i.tried = data
	time.AfterFunc(retireAfter, old.end)
	authenticationconfigmetrics.RecordAuthenticationConfigAutomaticReloadSuccess(i.ServerID, string(data))
	return true, nil
}

// prepare makes authenticators of the content of the file.
func (i *issuers) prepare(data []byte) (*generation, error) {
	cfg, err := parseConfiguration(data)
	if err != nil {
		return nil, err
	}
	if err := validateConfiguration(i.compiler, cfg, i.OwnIssuers); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(i.anonymous, cfg.Anonymous) {
		return nil, field.Forbidden(field.NewPath("anonymous"), "changed from initial configuration file")
	}
	return i.newGeneration(cfg)
}

// waitForHealth waits until all issuers have been reached.
func waitForHealth(ctx context.Context, g *generation) error {
	var health error
	err := wait.PollUntilContextTimeout(ctx, healthEvery, healthWithin, true, func(context.Context) (bool, error) {
		health = g.health()
		return health == nil, nil
	})
	if err != nil {
		return fmt.Errorf("not all of its issuers could be reached within %v: %w", healthWithin, errors.Join(health, err))
	}
	return nil
}
