package main

import (
	"slices"
	"time"
)

// medianTime is the median of durations.
func medianTime(values []time.Duration) time.Duration {
	numbers := make([]float64, len(values))
	for i, value := range values {
		numbers[i] = float64(value)
	}
	return time.Duration(median(numbers))
}

// median returns the middle of the values, the mean of the two in the middle if there are two; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest of the sorted durations that p percent of them don't exceed; 0 of none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}
