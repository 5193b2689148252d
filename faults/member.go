package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// memberCommand is the first argument with which this program is an etcd member.
const memberCommand = "member"

// runMember runs an etcd member until it is told to end.
func runMember(args []string) {
	fs := flag.NewFlagSet(memberCommand, flag.ExitOnError)
	name := fs.String("name", "", "of the member")
	dir := fs.String("dir", "", "of its data")
	client := fs.String("client", "", "address for clients")
	peer := fs.String("peer", "", "address for the other members")
	initial := fs.String("cluster", "", "all members, as name=URL,…")
	quota := fs.Int64("quota", 0, "largest size of the store, in bytes")
	_ = fs.Parse(args) // it exits by itself

	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster, cfg.QuotaBackendBytes = *name, *dir, *initial, *quota
	clients, peers := []url.URL{{Scheme: "http", Host: *client}}, []url.URL{{Scheme: "http", Host: *peer}}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = clients, clients
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peers, peers
	cfg.LogLevel, cfg.EnableGRPCGateway = "warn", false
	member, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(exitBroken)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	select {
	case <-stop:
		member.Close()
	case err := <-member.Err():
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(exitBroken)
	}
}
