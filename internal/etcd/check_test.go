package etcd

import (
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"google.golang.org/protobuf/proto"
)

// TestObjects: an object is stored under its revision. "etcdutl snapshot restore --bump-revision" copies the latest one to a
// higher revision.
func TestObjects(t *testing.T) {
	value, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte("key"), ModRevision: 5})
	if err != nil {
		t.Fatal(err)
	}
	key := func(main int64) []byte { return mvcc.RevToBytes(mvcc.Revision{Main: main}, mvcc.NewRevBytes()) }
	for name, test := range map[string]struct {
		key, value []byte
		want       bool
	}{
		"its own revision":  {key(5), value, true},
		"a higher revision": {key(1_000_000_005), value, true},
		"a lower revision":  {key(4), value, false},
		"a deletion":        {append(key(5), 't'), nil, true},
		"no revision":       {[]byte("key"), value, false},
		"no object":         {key(5), []byte("junk"), false},
	} {
		if got := isObject(test.key, test.value); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
