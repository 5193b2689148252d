package snapshot_test

import (
	"net/url"
	"path/filepath"
	"testing"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestMoveToExternalEtcd goes the way of docs/operations.md from the embedded store to an external etcd: the server stops, its store
// is saved, etcdutl restores that, and a server with the key-encryption key of before finds everything there.
func TestMoveToExternalEtcd(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	uid, token := account(t, server.Admin(), "app")
	must(t, server.Stop())
	file := save(t, server.DataDir)

	// etcdutl snapshot restore
	const peer = "http://127.0.0.1:2380"
	dir := filepath.Join(t.TempDir(), "etcd-1")
	must(t, etcdutl.NewV3(zap.NewNop()).Restore(etcdutl.RestoreConfig{
		SnapshotPath: file, OutputDataDir: dir, Name: "etcd-1", PeerURLs: []string{peer}, InitialCluster: "etcd-1=" + peer,
		InitialClusterToken: "etcd-cluster", RevisionBump: 1_000_000_000, MarkCompacted: true,
	}))
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster, cfg.EnableGRPCGateway = "etcd-1", dir, "etcd-1="+peer, false
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}} // a name: no other member calls it
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	member, err := embed.StartEtcd(cfg)
	must(t, err)
	t.Cleanup(member.Close)
	<-member.Server.ReadyNotify()

	// Two replicas, each with the key-encryption key in a data directory of its own, and without an encryption configuration.
	for range 2 {
		replica := testserver.Start(t, "--data-dir="+dataDir(t, server.DataDir), "--encryption-provider-config=",
			"--etcd-servers=http://"+member.Clients[0].Addr().String(), "--etcd-prefix="+prefix)
		if got := uidOf(t, replica.Admin(), "app"); got != uid {
			t.Errorf("the account has the UID %s, and had %s", got, uid)
		}
		if status := review(t, replica.Admin(), token); !status.Authenticated {
			t.Errorf("the token of before: %+v", status)
		}
	}
}
