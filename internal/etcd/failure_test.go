package etcd

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
)

// TestEtcdsLastWords: etcd ends the process through its logger, in whichever goroutine. Here only that goroutine ends, and
// the reason is kept, the first one if there are more.
func TestEtcdsLastWords(t *testing.T) {
	for name, say := range map[string]func(*zap.Logger, string, ...zap.Field){"fatal": (*zap.Logger).Fatal, "panic": (*zap.Logger).Panic} {
		failed, done := newFailure(), make(chan bool, 2)
		log := newLogger(&atomic.Bool{}, failed)
		for range 2 {
			ended := true
			go func() {
				defer func() { done <- ended }()
				say(log, "failed to read", zap.Error(errors.New("the cause")))
				ended = false
			}()
			if !<-done {
				t.Errorf("%s: the goroutine goes on", name)
			}
		}
		if err := <-failed.reason; err == nil || !strings.Contains(err.Error(), "failed to read: the cause") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestBrokenMember: a member one of whose goroutines has ended says so, and can be closed.
func TestBrokenMember(t *testing.T) {
	member, err := Start(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	member.failed.set(errors.New("the disk is gone"))
	if err := <-member.Failed(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("error %v", err)
	}
	member.Close()
}
