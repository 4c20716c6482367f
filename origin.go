package chat

import (
	"cmp"
	"context"
	"slices"
)

// Origin is where in the log an event came from that is handed to a [Handler], and
// how far that handler is there.
type Origin struct {
	Partition int32
	Done      Sequence // when it was handed over, whatever lies below was handled
	From, To  Sequence // what is handled with it: from the one up to, not including, the other
}

// Reach is how far a partition is handled, as origins tell it in any order. The zero
// value is nowhere.
type Reach struct {
	Done    Sequence // whatever lies below is handled
	Highest Sequence // of what is handled

	ahead []span // is handled too; rising, and none touches another
}

// span is a part of a partition, without its end.
type span struct{ from, to Sequence }

// maxAhead bounds what is remembered ahead of what is not handled. What is forgotten
// is handled again, should it come to that.
const maxAhead = 1024

// Add takes in an event that was handled, with all that was handed over with it.
func (r *Reach) Add(o *Origin, s Sequence) {
	r.Highest = max(r.Highest, s)
	r.Done = max(r.Done, o.Done)
	if n := len(r.ahead); n == 0 || r.ahead[n-1].from > o.From || r.ahead[n-1].to < o.To { // mostly it is the one before
		r.ahead = append(r.ahead, span{o.From, o.To})
		r.settle()
	}
}

// With returns the reach of both.
func (r Reach) With(o Reach) Reach {
	both := Reach{Done: max(r.Done, o.Done), Highest: max(r.Highest, o.Highest), ahead: slices.Concat(r.ahead, o.ahead)}
	both.settle()
	return both
}

// settle joins what touches.
func (r *Reach) settle() {
	slices.SortFunc(r.ahead, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	kept := r.ahead[:0]
	for _, next := range r.ahead {
		switch n := len(kept); {
		case next.from <= r.Done:
			r.Done = max(r.Done, next.to)
		case n > 0 && next.from <= kept[n-1].to:
			kept[n-1].to = max(kept[n-1].to, next.to)
		default:
			kept = append(kept, next)
		}
	}
	r.ahead = kept[:min(len(kept), maxAhead)]
}

// Applied is how far a store has applied a partition of the log.
type Applied struct {
	Store     string // one of the names below
	Partition int32
	Done      Sequence // whatever lies below is applied, as far as it is the store's
	Highest   Sequence // of what is applied
}

// The stores that are projections of the log, as [Applied] names them.
const (
	StoreEvents = "events" // the last that persist writes
	StoreRooms  = "rooms"
	StoreIndex  = "index"
	StoreRoutes = "routes"
)

// ProgressStore is what the stores know of the log that they are projections of.
//
// A store notes how far it is with what it applies, if that comes with an
// [Origin]: never before, so that what is noted as applied is there, whatever the
// store may lose at its end. The embedded store does so in the same commit; one
// that has no transactions may be a second late.
type ProgressStore interface {
	// Progress returns how far each store is, in any order: nothing where nothing
	// that has an origin was applied yet.
	Progress(ctx context.Context) ([]Applied, error)

	// Note notes, durably, that stores are at least as far, from who knows it otherwise.
	// Errors: Invalid for a store that there is not.
	Note(ctx context.Context, applied ...Applied) error

	// Lineage returns the log as it was set last; the zero value if it never was.
	Lineage(ctx context.Context) (Lineage, error)

	// SetLineage notes what the log is, durably. Errors: Conflict when another one was
	// set since the lineage that it follows.
	SetLineage(ctx context.Context, l, follows Lineage) error
}

// Lineage is a log and its generations.
type Lineage struct {
	Log         string       `json:"log"`         // the identity of its topic
	Generations []Generation `json:"generations"` // rising; the last is the one that events are logged in
}

// Generation is a part of a log in which sequences begin anew, higher than all of
// before. A log begins one by itself when it is behind its stores.
type Generation struct {
	Number int     `json:"number"`
	From   []int64 `json:"from,omitempty"` // its first offset in each partition; 0 where there is none
}

// first is the generation's first offset in a partition.
func (g Generation) first(partition int32) int64 {
	if int(partition) < len(g.From) {
		return g.From[partition]
	}
	return 0
}

// SequenceAt is the sequence of the record at a place in the log. Without a
// generation it is of generation 0.
func (l Lineage) SequenceAt(partition int32, offset int64) Sequence {
	for _, g := range slices.Backward(l.Generations) {
		if g.first(partition) <= offset {
			return SequenceAt(g.Number, offset)
		}
	}
	return SequenceAt(0, offset)
}

// Offset is the first offset of a partition whose sequence is not below s.
func (l Lineage) Offset(partition int32, s Sequence) int64 {
	for i, g := range l.Generations {
		first := g.first(partition)
		if s <= SequenceAt(g.Number, first) {
			return first
		}
		last := i == len(l.Generations)-1
		if s.Generation() == g.Number && (last || s.Offset() <= l.Generations[i+1].first(partition)) {
			return s.Offset()
		}
		if last { // of a generation that this log doesn't know
			return first
		}
	}
	return s.Offset()
}

// Equal reports whether two lineages are the same.
func (l Lineage) Equal(m Lineage) bool {
	return l.Log == m.Log && slices.EqualFunc(l.Generations, m.Generations, func(a, b Generation) bool {
		return a.Number == b.Number && slices.Equal(a.From, b.From)
	})
}

// Newest is the number of the last generation, 0 without any.
func (l Lineage) Newest() int {
	if len(l.Generations) == 0 {
		return 0
	}
	return l.Generations[len(l.Generations)-1].Number
}
