package chat

import (
	"context"
	"slices"
)

// Origin is where in the log an event came from that is handed to a [Handler], and
// how far that handler is there.
type Origin struct {
	Partition int32
	// Done is where the handler is in the partition when it is done with what it was
	// handed with the event: whatever lies below was handled.
	Done Sequence
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
