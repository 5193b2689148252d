package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// Snapshot describes a snapshot that is whole.
type Snapshot struct {
	// Size is that of the file in bytes.
	Size int64
	// Revision is that of the last write in it.
	Revision int64
	// Version is that of etcd's storage format; empty before etcd 3.6.
	Version string
}

// ReadSnapshot reads a snapshot after it has compared its sum and read all its pages. Each write in it is handed to see, the oldest
// first; a deletion has no value.
func ReadSnapshot(name string, see func(key string, value []byte, deleted bool)) (*Snapshot, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no snapshot %s", name)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", name)
	}
	size, err := checkSum(name)
	if err == nil {
		_, _, err = checkDatabase(name)
	}
	if err != nil {
		return nil, fmt.Errorf("the snapshot %s can't be used: %w. Take another one", name, err)
	}
	db, err := bolt.Open(name, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Size: size}
	err = db.View(func(tx *bolt.Tx) error {
		if version := schema.ReadStorageVersionFromSnapshot(tx); version != nil {
			s.Version = version.String()
		}
		objects := tx.Bucket(objectBucket)
		if objects == nil {
			return fmt.Errorf("the snapshot %s holds no store", name)
		}
		return objects.ForEach(func(revision, value []byte) error {
			s.Revision = mvcc.BytesToRev(revision).Main
			var object mvccpb.KeyValue
			if err := proto.Unmarshal(value, &object); err != nil {
				return err
			}
			if len(object.GetKey()) > 0 { // else it marks a revision
				see(string(object.GetKey()), object.GetValue(), mvcc.IsTombstone(revision))
			}
			return nil
		})
	})
	return s, errors.Join(err, db.Close())
}
