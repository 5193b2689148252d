package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// diskBytes is the size of the disk that is filled: more than a server needs at the start.
const diskBytes = 220 << 20

// runEmbedded kills a server with its own store at random points of writes, and fills its disk.
func runEmbedded(ctx context.Context, opts options, plant *plant, dir string, r *report) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unmount, err := mountDisk(dir)
	if err != nil {
		r.skip("full-disk", err.Error())
	} else {
		defer unmount()
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	server := &replica{name: "server", dataDir: filepath.Join(dir, "data")}
	server.process = &process{program: opts.binary, logFile: dir + ".log", args: []string{
		"serve", "--data-dir", server.dataDir, "--secure-port", ports[0], "--max-staleness", maxStaleness.String(),
		"--token-auth-file", filepath.Join(dir, "tokens.csv"), "--signing-key-lead-time", leadTime.String(),
	}}
	if _, err := sharedFiles(dir); err != nil {
		return err
	}
	server.client = newClient("https://127.0.0.1:"+ports[0], server.dataDir, plant.transport(server))
	if err := server.restart(ctx); err != nil {
		return err
	}
	defer server.process.stop()

	w := &world{replicas: []*replica{server}, model: newModel(), report: r}
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	for i := range workers {
		rnd := rand.New(rand.NewPCG(uint64(opts.seed), uint64(i)+100))
		work.Go(func() { w.work(working, rnd) })
	}
	order := rand.New(rand.NewPCG(uint64(opts.seed), 99))
	for range max(5, int(opts.length/(15*time.Second))) {
		r.fault("kill-embedded")
		if err := w.killEmbedded(ctx, order, plant.bend != nil); err != nil {
			return err
		}
	}
	if unmount != nil {
		r.fault("full-disk")
		if err := w.fillDisk(ctx, dir); err != nil {
			return fmt.Errorf("full-disk: %w", err)
		}
	}
	return w.audit(ctx)
}

// killEmbedded kills the server a random time after a write was sent, looks at its data directory, and starts it again.
func (w *world) killEmbedded(ctx context.Context, rnd *rand.Rand, clean bool) error {
	server := w.replicas[0]
	over := disturb(server)
	revoking := rand.New(rand.NewPCG(rnd.Uint64(), 0))
	var wave sync.WaitGroup
	defer wave.Wait()
	wave.Go(func() { w.wave(ctx, revoking) })
	pause(ctx, time.Duration(rnd.IntN(60_000))*time.Microsecond)
	server.process.kill()
	if !clean {
		if err := os.WriteFile(filepath.Join(server.dataDir, ".serving.crt.tmp"), nil, 0o600); err != nil {
			return err
		}
	}
	if err := server.restart(ctx); err != nil {
		return err
	}
	over()
	w.lookAtDataDir(server.dataDir)
	return w.audit(ctx)
}

// dataFiles are the names that a data directory may have, below it and with a slash between directories.
var dataFiles = regexp.MustCompile(`^(admin\.kubeconfig|ca\.crt|serving\.(crt|key)|key-encryption\.key|server-name|lock|etcd(/.*)?)$`)

// lookAtDataDir reports what a kill has left half-made.
func (w *world) lookAtDataDir(dir string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error { // each error is reported
		if err != nil {
			w.report.violation("the data directory: %v", err)
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		w.report.count("files looked at")
		if !dataFiles.MatchString(name) {
			w.report.violation("the data directory has a file %s, which nothing reads", name)
		}
		if info, err := entry.Info(); err == nil && entry.Type().IsRegular() && info.Size() == 0 && filepath.Dir(name) == "." && name != "lock" {
			w.report.violation("the file %s of the data directory is empty", name)
		}
		return nil
	})
}

// fillDisk leaves no room on the server's disk, and makes room again. No write that was acknowledged is lost, and the server
// either goes on or can be started again.
func (w *world) fillDisk(ctx context.Context, dir string) error {
	server := w.replicas[0]
	over := disturb(server)
	filling := filepath.Join(dir, "filling")
	if err := fill(filling); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	if err := os.Remove(filling); err != nil {
		return err
	}
	err := server.waitUntilReady(ctx)
	if errors.Is(err, errEnded) {
		w.report.count("servers that ended on a full disk")
		err = server.restart(ctx)
	}
	if err != nil {
		return err
	}
	over()
	w.lookAtDataDir(server.dataDir)
	return nil
}

// fill writes a file until the disk is full.
func fill(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is only there to be large
	block := make([]byte, 1<<20)
	for size := len(block); ; {
		n, err := file.Write(block[:size])
		switch {
		case err == nil:
		case !errors.Is(err, syscall.ENOSPC):
			return err
		case size == 1:
			return nil
		default:
			size = max(1, size/2)
		}
		_ = n // what was written of a block stays
	}
}
