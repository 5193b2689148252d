package revocation

import (
	"container/heap"
	"slices"
)

// instants are the instants of all entries for one account, subject or key. The latest counts; the others matter when it
// goes.
type instants struct {
	latest uint32
	// live has all instants, and gone those of them that were removed since, which leave live when they are its latest, or when
	// they are half of it: entries end in the order in which they were made, so that the latest stays.
	live, gone latestFirst
}

func (i *instants) add(at uint32) {
	heap.Push(&i.live, at)
	i.latest = i.live[0]
}

func (i *instants) remove(at uint32) {
	heap.Push(&i.gone, at)
	for len(i.gone) > 0 && i.gone[0] == i.live[0] {
		heap.Pop(&i.gone)
		heap.Pop(&i.live)
	}
	if 2*len(i.gone) > len(i.live) {
		i.drop()
	}
	if len(i.live) > 0 {
		i.latest = i.live[0]
	}
}

// drop takes the instants that were removed out of live. A sorted slice is a heap.
func (i *instants) drop() {
	latestBefore := func(a, b uint32) int { return int(b) - int(a) }
	slices.SortFunc(i.live, latestBefore)
	slices.SortFunc(i.gone, latestBefore)
	left, gone := make(latestFirst, 0, len(i.live)-len(i.gone)), i.gone
	for _, at := range i.live {
		if len(gone) > 0 && gone[0] == at {
			gone = gone[1:]
			continue
		}
		left = append(left, at)
	}
	i.live, i.gone = left, nil
}

func (i *instants) empty() bool { return len(i.live) == 0 }

// latestFirst is a heap.
type latestFirst []uint32

// Len, Less, Swap, Push and Pop are heap.Interface.
func (l latestFirst) Len() int           { return len(l) }
func (l latestFirst) Less(i, j int) bool { return l[i] > l[j] }
func (l latestFirst) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latestFirst) Push(x any)        { *l = append(*l, x.(uint32)) }

func (l *latestFirst) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	*l = (*l)[:last]
	return x
}
