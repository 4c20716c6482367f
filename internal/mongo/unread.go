package mongo

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

const (
	// So many messages are counted again rather than remembered, since remembering takes
	// another query; and so many sequences are looked through again.
	worthCounting = 64
	worthPassing  = 1024

	maxCounts = 1 << 16 // remembered: some 16 MiB
)

// counts remembers what was counted for members of rooms, so that the same messages are
// counted once when they have come and once when they have been read, and not for each
// room list.
//
// It holds for messages below [chat.Range].Settled: none is put there any more, by
// whichever process, so how many were posted there stays as it is. What is taken from
// them later is not to be found here; it has to be counted apart, and taken off.
type counts struct {
	mu    sync.Mutex
	known map[reading]counted
}

// reading is a member of a room.
type reading struct {
	room chat.RoomID
	user chat.UserID
}

// counted is how many messages others posted after one sequence, up to another.
type counted struct {
	after, upTo chat.Sequence
	n           int
}

func (c *counts) get(of reading) (counted, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[of]
	return known, ok
}

func (c *counts) keep(of reading, n counted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = make(map[reading]counted)
	}
	for other := range c.known { // any will do: it is counted again
		if len(c.known) < maxCounts {
			break
		}
		delete(c.known, other)
	}
	c.known[of] = n
}

// Unread implements [chat.EventStore]: what was posted, less what of it is deleted.
// Indexes alone answer it, and what was counted as posted before is not counted again.
// Errors: Unavailable.
func (e *Events) Unread(ctx context.Context, room chat.RoomID, user chat.UserID, r chat.Range) (int, error) {
	if !room.Valid() || r.Limit <= 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	of := reading{room, user}
	limit := r.Limit
	posted, err := e.posted(ctx, of, r)
	if err != nil || posted == 0 {
		return 0, err
	}
	deleted, err := e.deleted(ctx, of, r)
	if err != nil {
		return 0, err
	}
	except, err := e.except(ctx, of, r)
	deleted += except
	if err == nil && deleted > 0 && posted == limit { // behind the limit there may be more
		r.Limit += deleted
		posted, err = e.posted(ctx, of, r)
	}
	return min(max(posted-deleted, 0), limit), err
}

// deleted counts those of the others' messages in a range that are deleted.
func (e *Events) deleted(ctx context.Context, of reading, r chat.Range) (int, error) {
	n, err := e.all.CountDocuments(ctx, bson.D{
		{Key: "gone.room", Value: of.room}, {Key: "gone.sequence", Value: within(r).Value},
		{Key: "gone.sender", Value: bson.D{{Key: "$ne", Value: of.user}}},
	})
	return int(n), failure(err)
}

// except counts those of the others' messages in a range that are not to be counted, and
// are not deleted either.
func (e *Events) except(ctx context.Context, of reading, r chat.Range) (int, error) {
	var in []chat.Sequence
	for _, at := range r.Except {
		if at > r.After && (r.Before == 0 || at < r.Before) {
			in = append(in, at)
		}
	}
	if len(in) == 0 {
		return 0, nil
	}
	n, err := e.all.CountDocuments(ctx, bson.D{
		{Key: "room", Value: of.room}, {Key: "message", Value: true}, among("sequence", values(in)),
		{Key: "sender", Value: bson.D{{Key: "$ne", Value: of.user}}}, {Key: "gone", Value: bson.D{{Key: "$exists", Value: false}}},
	})
	return int(n), failure(err)
}

// posted counts the others' messages in a range, whatever became of them.
func (e *Events) posted(ctx context.Context, of reading, r chat.Range) (int, error) {
	known, err := e.begun(ctx, of, r)
	if err != nil || known.n >= r.Limit {
		return min(known.n, r.Limit), err
	}
	newer := chat.Range{After: known.upTo, Before: r.Before, Limit: r.Limit - known.n}
	n, err := count(ctx, e.all, of, newer)
	if err != nil {
		return 0, err
	}
	settled := r.Settled
	if r.Before > 0 {
		settled = min(settled, r.Before)
	}
	if behind := settled - 1 - known.upTo; behind > 0 && n >= worthCounting || behind > worthPassing {
		newer.Before = settled
		if err := e.remember(ctx, of, known, newer); err != nil {
			return 0, err
		}
	}
	return known.n + n, nil
}

// begun is what is known of the beginning of a range, without what was read since.
func (e *Events) begun(ctx context.Context, of reading, r chat.Range) (counted, error) {
	none := counted{after: r.After, upTo: r.After}
	known, ok := e.counts.get(of)
	if !ok || r.After < known.after || r.After > known.upTo || r.Before > 0 && r.Before <= known.upTo {
		return none, nil
	}
	if r.After == known.after {
		return known, nil
	}
	passed, err := count(ctx, e.all, of, chat.Range{After: known.after, Before: r.After + 1, Limit: known.n + 1})
	if err != nil {
		return none, err
	}
	if passed > known.n { // there was more than was known
		return none, nil
	}
	known.after, known.n = r.After, known.n-passed
	e.counts.keep(of, known)
	return known, nil
}

// remember adds to what is known the settled range behind it. A primary that lacks what
// a majority has must not be believed: what is remembered would stay wrong.
func (e *Events) remember(ctx context.Context, of reading, known counted, settled chat.Range) error {
	n, err := count(ctx, e.exact, of, settled)
	if err != nil {
		return err
	}
	known.n += n
	known.upTo = settled.Before - 1
	if n == settled.Limit { // behind the last that was counted there may be more
		var last struct {
			Sequence chat.Sequence `bson:"sequence"`
		}
		opts := options.FindOne().SetSort(ascending("sequence")).SetSkip(int64(n - 1)).SetProjection(bson.D{{Key: "sequence", Value: 1}, {Key: "_id", Value: 0}})
		if err := e.exact.FindOne(ctx, unread(of, settled), opts).Decode(&last); err != nil {
			return failure(err)
		}
		known.upTo = last.Sequence
	}
	e.counts.keep(of, known)
	return nil
}

// count counts in the index.
func count(ctx context.Context, in *mongo.Collection, of reading, r chat.Range) (int, error) {
	if r.Before > 0 && r.After+1 >= r.Before {
		return 0, nil
	}
	n, err := in.CountDocuments(ctx, unread(of, r), options.Count().SetLimit(int64(r.Limit)))
	return int(n), failure(err)
}

// unread are the others' messages in a range.
func unread(of reading, r chat.Range) bson.D {
	return bson.D{
		{Key: "room", Value: of.room}, {Key: "message", Value: true}, within(r),
		{Key: "sender", Value: bson.D{{Key: "$ne", Value: of.user}}},
	}
}

// Mentions implements [chat.EventStore]. An index of what mentions somebody answers it.
// Errors: Unavailable.
func (e *Events) Mentions(ctx context.Context, room chat.RoomID, user chat.UserID, r chat.Range) (int, error) {
	if !room.Valid() || !user.Valid() || r.Limit <= 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	sequences := within(r).Value.(bson.D)
	if len(r.Except) > 0 {
		sequences = append(sequences, bson.E{Key: "$nin", Value: values(r.Except)})
	}
	where := bson.D{
		{Key: "mention.room", Value: room}, among("mention.users", bson.A{user, chat.Everyone}),
		{Key: "mention.sequence", Value: sequences}, {Key: "mention.sender", Value: bson.D{{Key: "$ne", Value: user}}},
	}
	n, err := e.all.CountDocuments(ctx, where, options.Count().SetLimit(int64(r.Limit)))
	return int(n), failure(err)
}
