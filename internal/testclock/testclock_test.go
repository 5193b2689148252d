package testclock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mintmark/mintmark/internal/testclock"
)

func TestAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := testclock.New(), time.Now()
		time.Sleep(time.Second)
		if got := c.Since(began); got != time.Second {
			t.Errorf("the clock runs by itself: %s after a second", got)
		}
		c.Advance(time.Hour)
		if got := c.Since(began); got != time.Hour+time.Second {
			t.Errorf("%s after an advance of an hour", got)
		}
	})
}

func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := testclock.New(), time.Now()
		timer := c.NewTimer(time.Hour)
		c.Advance(59 * time.Minute)
		synctest.Wait()
		select {
		case <-timer.C():
			t.Fatal("the timer ended a minute early")
		default:
		}
		<-timer.C()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the last minute took %s", took)
		}
		if timer.Stop() {
			t.Error("a timer that has ended was stopped")
		}
		timer.Reset(time.Hour)
		c.Advance(time.Hour)
		<-timer.C()
		timer.Reset(time.Hour)
		if !timer.Stop() {
			t.Error("a timer that waits was not stopped")
		}
		c.Advance(2 * time.Hour)
		synctest.Wait()
		select {
		case <-timer.C():
			t.Error("a timer that was stopped ended")
		default:
		}
	})
}

func TestTicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := testclock.New(), time.Now()
		ticker := c.NewTicker(time.Minute)
		<-ticker.C()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the first tick came after %s", took)
		}
		c.Advance(time.Hour)
		<-ticker.C()
		<-ticker.C()
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("two ticks after an advance came after %s", took)
		}
		ticker.Stop()
	})
}
