package mongo

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// countDoc is how many active members a room has. Whoever has changed them counts anew,
// and writes that if nobody has written since they began: so the last who counts has
// seen all changes.
type countDoc struct {
	Room     chat.RoomID `bson:"_id"`
	Members  int         `bson:"members"`
	Revision int64       `bson:"revision"`
}

// Counts implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Counts(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]int, error) {
	counts := make(map[chat.RoomID]int, len(rooms))
	for batch := range slices.Chunk(rooms, together) {
		if err := r.addCounts(ctx, batch, counts); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func (r *Rooms) addCounts(ctx context.Context, rooms []chat.RoomID, counts map[chat.RoomID]int) error {
	known := make(map[chat.RoomID]bool, len(rooms))
	read := func() error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		names := make(bson.A, len(rooms))
		for i, room := range rooms {
			names[i] = room
		}
		found, err := find[countDoc](ctx, r.counts, bson.D{among("_id", names)}, options.Find())
		for _, c := range found {
			known[c.Room] = true
			if c.Members > 0 {
				counts[c.Room] = c.Members
			}
		}
		return err
	}
	if err := read(); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(rooms), func(room chat.RoomID) bool { return known[room] || !room.Valid() })
	if len(missing) == 0 {
		return nil
	}
	if err := r.recount(ctx, missing); err != nil { // rooms of an earlier version's
		return err
	}
	return read()
}

// recount counts the members of rooms anew, durably when it returns.
func (r *Rooms) recount(ctx context.Context, rooms []chat.RoomID) error {
	slices.Sort(rooms)
	for _, room := range slices.Compact(rooms) {
		for round := 1; ; round++ {
			done, err := r.recountOnce(ctx, room)
			if err != nil {
				return err
			}
			if done {
				break
			}
			if round == mergeRounds || !rest(ctx, mergePause*time.Duration(min(round, 10))) {
				return chat.Errorf(chat.Unavailable, "store: too many change the same room")
			}
		}
	}
	return nil
}

// recountOnce reports whether nobody else has counted meanwhile.
func (r *Rooms) recountOnce(ctx context.Context, room chat.RoomID) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = again(ctx, func(bool) error {
		found, err := find[countDoc](ctx, r.counts, bson.D{{Key: "_id", Value: room}}, limited(1))
		if err != nil {
			return err
		}
		n, err := r.members.CountDocuments(ctx, bson.D{{Key: "room", Value: room}, {Key: "active", Value: true}})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			taken, err := insertNew(ctx, r.counts, []any{countDoc{Room: room, Members: int(n)}})
			done = err == nil && len(taken) == 0
			return err
		}
		was := found[0].Revision
		updated, err := r.counts.UpdateOne(ctx, bson.D{{Key: "_id", Value: room}, {Key: "revision", Value: was}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "members", Value: int(n)}, {Key: "revision", Value: was + 1}}}})
		done = err == nil && updated.MatchedCount > 0
		return err
	})
	return done, err
}
