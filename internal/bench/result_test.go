package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: %v, want %v", test.values, got, test.want)
		}
	}
	values := []float64{3, 1, 2}
	median(values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Errorf("the values were changed: %s", diff)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{[]time.Duration{1, 2, 3}, 99, 3},
		{[]time.Duration{1, 2, 3}, 0, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:10], 99, 10},
	} {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("p%d of %d: %d, want %d", test.p, len(test.sorted), got, test.want)
		}
	}
}

// TestTypical has one round in three that something else disturbed.
func TestTypical(t *testing.T) {
	r := result{rounds: []round{
		round{requests: 100, rate: 200, cpu: 300, p50: 5, p99: 9, others: 0.1}.against(round{cpu: 100}),
		round{requests: 10, rate: 20, cpu: 9000, p50: 50, p99: 90, others: 0.7}.against(round{cpu: 1500}),
		round{requests: 110, rate: 210, cpu: 400, p50: 6, p99: 8, others: 0.2}.against(round{cpu: 100}),
	}}
	want := round{requests: 100, rate: 200, cpu: 400, p50: 6, p99: 9, others: 0.2, extra: 300, ratio: 4}
	if diff := cmp.Diff(want, r.typical(), cmp.AllowUnexported(round{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOthers(t *testing.T) {
	before := clocks{server: 10, self: 20, busy: 100, all: 1000}
	for want, after := range map[float64]clocks{
		0.25: {server: 60, self: 40, busy: 220, all: 1200},
		0:    {server: 60, self: 40, busy: 160, all: 1200}, // counted less than the two have used
	} {
		if got := after.others(before); got != want {
			t.Errorf("%+v: %v, want %v", after, got, want)
		}
	}
	if got := before.others(before); got != 0 {
		t.Errorf("%v in no time", got)
	}
}
