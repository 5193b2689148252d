package etcd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/storage/backend"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/shell"
)

const (
	// snapshotEvery is how old the latest snapshot may get, and snapshotsKept how many there are.
	snapshotEvery, snapshotsKept = 24 * time.Hour, 2
	// snapshotCheck is how often a running member looks at the age of the latest snapshot.
	snapshotCheck      = time.Hour
	firstSnapshotCheck = time.Minute
	snapshotSuffix     = ".db"
	// snapshotTime is the name of a snapshot. Names are in the order of the times.
	snapshotTime = "20060102T150405Z"
)

func snapshotDir(dir string) string { return filepath.Join(dir, "snapshots") }

// keepSnapshots makes a snapshot of the store once a day, until the context ends.
func keepSnapshots(ctx context.Context, dir string, store func() backend.Backend) {
	timer := time.NewTimer(firstSnapshotCheck)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if err := snapshotIfDue(dir, store, time.Now()); err != nil {
				klog.FromContext(ctx).Error(err, "No snapshot of the store was made; is there room on the disk?", "directory", snapshotDir(dir))
			}
			timer.Reset(snapshotCheck)
		}
	}
}

// snapshotIfDue makes a snapshot unless the latest is young, and removes the oldest ones.
func snapshotIfDue(dir string, store func() backend.Backend, now time.Time) error {
	names, err := snapshots(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if made, err := madeAt(names[0]); err == nil && now.Sub(made) < snapshotEvery && !now.Before(made) {
			return nil
		}
	}
	if err := makeDir(snapshotDir(dir)); err != nil {
		return err
	}
	name := filepath.Join(snapshotDir(dir), now.UTC().Format(snapshotTime)+snapshotSuffix)
	if err := writeSnapshot(name, store()); err != nil {
		return err
	}
	names, err = snapshots(dir)
	for _, old := range names[min(snapshotsKept, len(names)):] {
		err = errors.Join(err, os.Remove(old))
	}
	return err
}

// writeSnapshot writes a snapshot as etcdctl does: the database, and the SHA-256 sum of it.
func writeSnapshot(name string, store backend.Backend) error {
	temporary := name + ".part"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	snapshot, sum := store.Snapshot(), sha256.New()
	_, err = snapshot.WriteTo(io.MultiWriter(file, sum))
	if err == nil {
		_, err = file.Write(sum.Sum(nil))
	}
	if err := errors.Join(err, snapshot.Close(), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

// snapshots returns the names of all snapshots, the latest first.
func snapshots(dir string) ([]string, error) {
	entries, err := os.ReadDir(snapshotDir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range slices.Backward(entries) {
		if strings.HasSuffix(entry.Name(), snapshotSuffix) {
			names = append(names, filepath.Join(snapshotDir(dir), entry.Name()))
		}
	}
	return names, nil
}

func madeAt(name string) (time.Time, error) {
	return time.Parse(snapshotTime, strings.TrimSuffix(filepath.Base(name), snapshotSuffix))
}

// latestGood returns the name of the latest snapshot that is not damaged, or nothing.
func latestGood(dir string) string {
	names, err := snapshots(dir)
	if err != nil {
		return ""
	}
	for _, name := range names {
		if _, err := checkSum(name); err != nil {
			continue
		}
		if _, _, err := checkDatabase(name); err == nil {
			return name
		}
	}
	return ""
}

// explain says what to do about a store with which etcd can't start.
func explain(dir string, cause error) error {
	if errors.Is(cause, fs.ErrPermission) {
		return fmt.Errorf("the store can't be read; give its files to the user that runs this process: %w", cause)
	}
	if found := (*damage)(nil); errors.As(cause, &found) {
		cause = fmt.Errorf("the store is damaged: %w", cause)
	}
	good := latestGood(dir)
	if good == "" {
		return fmt.Errorf("%w.\nNothing was changed. There is no good snapshot in %s: put the whole data directory back from a backup, "+
			"or begin anew in an empty one, where no token that is out is accepted", cause, snapshotDir(dir))
	}
	return fmt.Errorf("%w.\nNothing was changed. The latest good snapshot is %s. To go back to it:\n"+
		"  mintmark snapshot restore %s --data-dir %s --replace\n"+
		"What was deleted since the snapshot is then there again, and so are the tokens that ended with it: the command says how to end them",
		cause, good, shell.Quote(good), shell.Quote(filepath.Dir(dir)))
}
