package etcd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/proto"
)

const (
	// lockTimeout bounds the wait for a database that another process has open.
	lockTimeout = time.Second
	// revisionLength is the length of a key in the bucket of objects: main revision, '_', sub revision. A deletion is
	// marked with one more byte.
	revisionLength = 8 + 1 + 8
)

// Buckets and keys of etcd's database.
var (
	metaBucket      = []byte("meta")
	objectBucket    = []byte("key")
	consistentIndex = []byte("consistent_index")
)

// damage is an error that names the file in which something is wrong.
type damage struct {
	file string
	why  error
}

func (d *damage) Error() string { return fmt.Sprintf("%s: %v", d.file, d.why) }

func (d *damage) Unwrap() error { return d.why }

// files are the files in which a member keeps its state.
type files struct{ database, log string }

func filesOf(dir string) files {
	member := filepath.Join(dir, "member", "member")
	return files{database: filepath.Join(member, "snap", "db"), log: filepath.Join(member, "wal")}
}

// check reads the whole database and the log before etcd does, because etcd panics where it finds them damaged, and
// starts an empty store where one of them is missing. It changes nothing. An error is a *damage. A store is unborn if a
// first start was interrupted before anything was stored: from what is there then, etcd would wait for ever.
func check(dir string) (unborn bool, err error) {
	f := filesOf(dir)
	haveDatabase, err := present(f.database, fs.FileMode.IsRegular)
	if err != nil {
		return false, &damage{f.database, err}
	}
	haveLog, err := present(f.log, fs.FileMode.IsDir)
	if err != nil {
		return false, &damage{f.log, err}
	}
	if haveLog {
		// wal.Exist takes a directory that can't be read for one without a log.
		if _, err := os.ReadDir(f.log); err != nil {
			return false, &damage{f.log, err}
		}
		haveLog = wal.Exist(f.log)
	}
	if !haveDatabase {
		if haveLog {
			return false, &damage{f.database, errors.New("it is missing, although there is a log")}
		}
		return false, nil
	}
	applied, empty, err := checkDatabase(f.database)
	if err != nil {
		return false, &damage{f.database, err}
	}
	if !haveLog && !empty {
		return false, &damage{f.log, errors.New("the log is missing, although there is a database")}
	}
	if !haveLog {
		return true, nil
	}
	last, err := checkLog(f, applied)
	return err == nil && empty && last.index == 0, err
}

// present reports whether a file is there, and fails if it is of another type than it should be.
func present(name string, right func(fs.FileMode) bool) (bool, error) {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !right(info.Mode()) {
		return false, fmt.Errorf("it is a file of another type (%v)", info.Mode().Type())
	}
	return true, nil
}

// checkDatabase reads all pages of a database that are in use, and all objects in it. It returns the index of the last
// entry of the log that was applied to it, and whether it holds no objects and never saw an entry.
func checkDatabase(name string) (applied uint64, empty bool, err error) {
	// Damaged pages lead the library to places that are not in the file, and it panics for others.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errors.New("its pages are damaged")
		}
	}()
	if info, err := os.Stat(name); err == nil && info.Size() == 0 {
		return 0, false, errors.New("it is empty")
	}
	db, err := bolt.Open(name, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	empty = true
	err = db.View(func(tx *bolt.Tx) error {
		if meta := tx.Bucket(metaBucket); meta != nil {
			if index := meta.Get(consistentIndex); len(index) == 8 {
				applied = binary.BigEndian.Uint64(index)
			}
		}
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			objects := bytes.Equal(name, objectBucket)
			if key, _ := bucket.Cursor().First(); objects && key != nil {
				empty = false
			}
			return checkBucket(bucket, objects)
		})
	})
	return applied, empty && applied == 0, err
}

// checkBucket reads a bucket, whose keys must be in order.
func checkBucket(bucket *bolt.Bucket, objects bool) error {
	var last []byte
	cursor := bucket.Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		if last != nil && bytes.Compare(last, key) >= 0 {
			return errors.New("its keys are not in order")
		}
		last = key
		if objects && !isObject(key, value) {
			return errors.New("it holds what is no object")
		}
	}
	return nil
}

// isObject reports whether an object is stored under its own revision, or under a later one: a restored snapshot may begin
// with a copy of the latest object under a higher revision.
func isObject(key, value []byte) bool {
	if len(key) != revisionLength && len(key) != revisionLength+1 || key[8] != '_' {
		return false
	}
	var object mvccpb.KeyValue
	if proto.Unmarshal(value, &object) != nil {
		return false
	}
	deletion := len(key) > revisionLength
	return deletion || object.GetModRevision() <= int64(binary.BigEndian.Uint64(key))
}

// checkLog reads the log. It must reach as far as the database, which holds what the log's entries up to applied say.
func checkLog(f files, applied uint64) (last position, err error) {
	defer func() {
		if recover() != nil {
			err = &damage{f.log, errors.New("its records are damaged")}
		}
	}()
	last, err = lastEntry(f.log)
	switch {
	case err != nil:
		return last, &damage{f.log, err}
	case last.snapshot > applied:
		return last, &damage{f.database, fmt.Errorf("it is older than the log: it ends with entry %d, and the log begins after entry %d", applied, last.snapshot)}
	case last.index < applied:
		return last, &damage{f.log, fmt.Errorf("the end of the log is missing: it ends with entry %d, and the database holds entry %d", last.index, applied)}
	}
	return last, nil
}

// position says after which entry a log begins, and with which one it ends.
type position struct{ snapshot, index uint64 }

func lastEntry(dir string) (position, error) {
	log := zap.NewNop().WithOptions(zap.WithFatalHook(zapcore.WriteThenPanic))
	snapshots, err := wal.ValidSnapshotEntries(log, dir)
	if err != nil {
		return position{}, err
	}
	from := &walpb.Snapshot{}
	if len(snapshots) > 0 {
		from = snapshots[len(snapshots)-1]
	}
	reader, err := wal.OpenForRead(log, dir, from)
	if err != nil {
		return position{}, err
	}
	defer func() { _ = reader.Close() }()
	_, _, entries, err := reader.ReadAll()
	if err != nil {
		return position{}, err
	}
	end := position{snapshot: from.GetIndex(), index: from.GetIndex()}
	if len(entries) > 0 {
		end.index = entries[len(entries)-1].GetIndex()
	}
	return end, nil
}
