package etcd

import (
	"context"
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Snapshot makes a snapshot if one is due at a time.
func (m *Member) Snapshot(now time.Time) error {
	return snapshotIfDue(m.dir, m.etcd.Server.Backend, now)
}

// CheckQuota looks at the size of the store, as at a time.
func (m *Member) CheckQuota(now time.Time) { m.quota.check(context.Background(), now) }

// Emptied takes everything out of a database but what etcd puts there before its first entry.
func Emptied(name string) error {
	db, err := bolt.Open(name, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket(objectBucket); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(consistentIndex, binary.BigEndian.AppendUint64(nil, 0))
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// UsedSize is how much of the file of a database is in use, up to the last page.
func UsedSize(name string) (size int64, err error) {
	db, err := bolt.Open(name, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	err = db.View(func(tx *bolt.Tx) error {
		size = tx.Size()
		return nil
	})
	return size, err
}
