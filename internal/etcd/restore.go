package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
)

const (
	// revisionBump is by how much the revisions of a restored store are higher than those of the snapshot. None that a client has
	// seen before comes back with another meaning.
	revisionBump = 1_000_000_000
	// restoringDir is where a snapshot is restored, below the store's directory, before it takes its place.
	restoringDir = "restoring"
	memberDir    = "member"
)

// RestoreConfig says what is restored, and where.
type RestoreConfig struct {
	// Snapshot is a file as SaveSnapshot and etcdctl write it.
	Snapshot string
	// Dir is the directory of the store, which no process serves; the caller holds the lock.
	Dir string
	// Replace lets the snapshot take the place of a store that is there. The other store is kept under another name.
	Replace bool
	// Prepare changes the restored store, through an endpoint of it, before it takes its place; nil means that nothing is changed.
	Prepare func(ctx context.Context, endpoint string) error
}

// Restore makes a store of a snapshot. If it fails, the directory is as it was. It returns the name of the store that was there
// before, or nothing.
func Restore(ctx context.Context, cfg RestoreConfig) (former string, err error) {
	place := filepath.Join(cfg.Dir, memberDir)
	occupied, err := present(place, func(fs.FileMode) bool { return true })
	if err != nil {
		return "", err
	}
	if occupied && !cfg.Replace {
		return "", fmt.Errorf("there is a store in %s already, and it was left as it is: restore into a new data directory, or put the snapshot in its place with --replace", cfg.Dir)
	}
	if err := makeDir(cfg.Dir); err != nil {
		return "", err
	}
	staged := filepath.Join(cfg.Dir, restoringDir)
	if err := os.RemoveAll(staged); err != nil { // of a restoration that was killed
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staged)) }()
	if err := stage(ctx, cfg, staged); err != nil {
		return "", fmt.Errorf("%s can't be restored: %w", cfg.Snapshot, err)
	}
	if occupied {
		former = place + ".before-" + time.Now().UTC().Format(snapshotTime)
		if err := os.Rename(place, former); err != nil {
			return "", err
		}
	}
	if err := os.Rename(filepath.Join(staged, memberDir), place); err != nil {
		if occupied {
			err = errors.Join(err, os.Rename(former, place))
		}
		return "", err
	}
	return former, syncDir(cfg.Dir)
}

// stage makes the store in a directory of its own.
func stage(ctx context.Context, cfg RestoreConfig, dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	if err := unpack(cfg.Snapshot, filepath.Join(dir, memberDir)); err != nil {
		return err
	}
	if _, err := check(dir); err != nil {
		return err
	}
	if cfg.Prepare != nil {
		member, err := Start(ctx, Config{Dir: dir})
		if err != nil {
			return err
		}
		err = cfg.Prepare(ctx, member.Endpoint())
		member.Close()
		if err != nil {
			return err
		}
	}
	f := filesOf(dir)
	var failed error
	for _, made := range []string{f.log, filepath.Dir(f.database), filepath.Dir(f.log), filepath.Join(dir, memberDir)} {
		failed = errors.Join(failed, syncDir(made))
	}
	return failed
}

// unpack has the library restore a snapshot. It runs in a goroutine of its own, as one in which etcd finds that it can't go on ends.
func unpack(file, dir string) error {
	failed, done := newFailure(), make(chan error, 1)
	quiet := &atomic.Bool{}
	quiet.Store(true)
	go func() {
		defer func() {
			if recover() != nil {
				failed.set(errors.New("a part of it can't be read"))
			}
		}()
		done <- snapshot.NewV3(newLogger(quiet, failed)).Restore(snapshot.RestoreConfig{
			SnapshotPath: file, Name: memberName, OutputDataDir: dir,
			PeerURLs: []string{peerURL}, InitialCluster: memberName + "=" + peerURL, InitialClusterToken: memberName,
			RevisionBump: revisionBump, MarkCompacted: true,
		})
	}()
	select {
	case err := <-done:
		return err
	case err := <-failed.reason:
		return err
	}
}

// syncDir makes durable which names a directory holds.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
