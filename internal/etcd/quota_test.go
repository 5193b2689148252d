package etcd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mintmark/mintmark/internal/etcd"
)

// TestQuota fills a store. While only its history is large it makes room by itself; when its objects are, it says that it is
// full until some are deleted.
func TestQuota(t *testing.T) {
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir(), QuotaBytes: 4 << 20})
	must(t, err)
	defer member.Close()
	c, now := client(t, member), time.Now()
	value := strings.Repeat("v", 100<<10)
	fillUp := func(key func(i int) string) {
		t.Helper()
		for i := range 200 {
			if _, err := c.Put(t.Context(), key(i), value); err != nil {
				if !strings.Contains(err.Error(), "database space exceeded") {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatal("there is no quota")
	}
	look := func() error {
		now = now.Add(2 * time.Minute)
		member.CheckQuota(now)
		return member.HasRoom()
	}
	fillUp(func(int) string { return "one" })
	must(t, look())
	if _, err := c.Put(t.Context(), "two", "v"); err != nil {
		t.Errorf("a store whose history was dropped: %v", err)
	}

	// A file can reach the quota with pages in it that are not in use: room is made, and the objects take it as well.
	var full error
	for round := 0; full == nil && round < 10; round++ {
		fillUp(func(i int) string { return fmt.Sprintf("many/%d/%d", round, i) })
		full = look()
	}
	if full == nil || !strings.Contains(full.Error(), "delete objects that are not needed") {
		t.Errorf("a full store: %v", full)
	}
	// Not more than once a minute, since a store does nothing else meanwhile.
	member.CheckQuota(now.Add(time.Second))
	if _, err := c.Delete(t.Context(), "many/", clientv3.WithPrefix()); err != nil {
		t.Errorf("a full store takes no deletion: %v", err)
	}
	must(t, look())
	if _, err := c.Put(t.Context(), "three", "v"); err != nil {
		t.Errorf("a store with room again: %v", err)
	}
}
