package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// together is how many documents one command writes or names at most.
const together = 1000

// maxContent is how long the content of a document can be, in bytes: what the server
// takes, less the rest of the document. It is checked before anything is written,
// since servers differ in how they refuse it.
const maxContent = 16<<20 - 64<<10

func checkContent(length int) error {
	if length > maxContent {
		return chat.Errorf(chat.TooLarge, "more than %d bytes cannot be stored", maxContent)
	}
	return nil
}

// insertNew inserts the documents that are not there yet, in any order, and tells
// which of them are, by their index. Those are durable too when it returns: the
// server's acknowledgement of an insert that finds the key taken is one for what
// has taken it.
func insertNew(ctx context.Context, c *mongo.Collection, docs []any) (taken []int, err error) {
	_, err = c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	var bulk mongo.BulkWriteException
	if err == nil || !errors.As(err, &bulk) || bulk.WriteConcernError != nil {
		return nil, err
	}
	for _, e := range bulk.WriteErrors {
		if e.Code != codeDuplicateKey {
			return nil, err
		}
		taken = append(taken, e.Index)
	}
	return taken, nil
}

// modify carries out updates in any order, and tells how many found their
// document.
func modify(ctx context.Context, c *mongo.Collection, updates []mongo.WriteModel) (matched int, err error) {
	done, err := c.BulkWrite(ctx, updates, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return 0, err
	}
	return int(done.MatchedCount), nil
}

// find reads all documents that a query has. The caller bounds it.
func find[D any](ctx context.Context, c *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder) (docs []D, err error) {
	cursor, err := c.Find(ctx, filter, opts)
	if err != nil {
		return nil, failure(err)
	}
	if err := cursor.All(ctx, &docs); err != nil { // closes it
		return nil, failure(err)
	}
	return docs, nil
}

// limited is a query's limit, with all of it in one answer if that is not too
// large.
func limited(n int) *options.FindOptionsBuilder {
	return options.Find().SetLimit(int64(n)).SetBatchSize(int32(min(n, 1<<30) + 1))
}

// claim is a document of which, among all with its ID, only the one with the lowest
// sequence stays.
type claim struct {
	id       string
	room     chat.RoomID
	sequence chat.Sequence
	doc      any // with _id, room and sequence

	stored claimed // once it is put: what has the ID
}

// replacing is a claim's document that has to know of a later one whose place it takes.
type replacing interface {
	replaces(was claimed)
}

// claimed is what is stored under an ID.
type claimed struct {
	ID       string        `bson:"_id"`
	Sequence chat.Sequence `bson:"sequence"`

	// Of events only: see eventDoc.
	About messageOf       `bson:"about"`
	Over  []chat.Sequence `bson:"over"`
}

// stands reports whether the claim has its ID.
func (c *claim) stands() bool { return c.stored.Sequence == c.sequence }

// identity is what events and messages are claimed by. Neither room nor source
// have a line feed.
func identity(room chat.RoomID, source, id string) string {
	return string(room) + "\n" + source + "\n" + id
}

// claims collects the claims of a batch, the earliest of each ID.
type claims struct {
	all []claim
	at  map[string]int
}

func (c *claims) add(n claim) {
	i, ok := c.at[n.id]
	switch {
	case !ok:
		if c.at == nil {
			c.at = make(map[string]int)
		}
		c.at[n.id] = len(c.all)
		c.all = append(c.all, n)
	case n.sequence < c.all[i].sequence:
		c.all[i] = n
	}
}

// put stores the claims, durably when it returns. First of all it inserts: nearly
// all are new. A document that is there gives way, at once and as a whole, if its
// sequence is higher; it never disappears, so nobody can come in between.
func (c *claims) put(ctx context.Context, to *mongo.Collection) error {
	for batch := range slices.Chunk(c.all, together) {
		if err := again(ctx, func(bool) error { return putClaims(ctx, to, batch) }); err != nil {
			return err
		}
	}
	return nil
}

func putClaims(ctx context.Context, to *mongo.Collection, batch []claim) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs := make([]any, len(batch))
	for i, n := range batch {
		docs[i] = n.doc
		batch[i].stored = claimed{ID: n.id, Sequence: n.sequence}
	}
	taken, err := insertNew(ctx, to, docs)
	if err != nil {
		return err
	}
	for missing := false; len(taken) > 0; {
		var again bool
		if again, missing, err = replaceLater(ctx, to, batch, taken, missing); err != nil || !again {
			return err
		}
		if !rest(ctx, mergePause) {
			return chat.Errorf(chat.Unavailable, "store: too many put the same document")
		}
	}
	return nil
}

// replaceLater replaces the documents that have what others claim with a lower
// sequence, and reports whether it is to be done again: to see whether it was done, or
// as what could not be inserted was missing.
//
// Nearly all claims are of the same event again, for which reading is enough. It
// sees what a majority has, and so what cannot be taken back.
func replaceLater(ctx context.Context, to *mongo.Collection, batch []claim, taken []int, missed bool) (again, missing bool, err error) {
	var ids, rooms bson.A
	for _, i := range taken {
		ids, rooms = append(ids, batch[i].id), append(rooms, batch[i].room)
	}
	stored, err := storedUnder(ctx, to, ids, rooms)
	if err != nil {
		return false, false, err
	}
	var updates []mongo.WriteModel
	for _, i := range taken {
		n := &batch[i]
		was, ok := stored[n.id]
		if n.stored = was; !ok || was.Sequence <= n.sequence {
			continue
		}
		if d, ok := n.doc.(replacing); ok {
			d.replaces(was)
		}
		later := bson.D{{Key: "_id", Value: n.id}, {Key: "room", Value: n.room}, {Key: "sequence", Value: was.Sequence}}
		updates = append(updates, mongo.NewReplaceOneModel().SetFilter(later).SetReplacement(n.doc))
	}
	if len(updates) > 0 {
		_, err = modify(ctx, to, updates)
	}
	// What could not be inserted is there, or has just been made by somebody else.
	// Otherwise another event has its place.
	missing = len(stored) < len(ids)
	if hasCode(err, codeDuplicateKey) || missing && missed {
		return false, missing, placeTaken()
	}
	return len(updates) > 0 || missing, missing, err
}

func placeTaken() error {
	return chat.Errorf(chat.Conflict, "a sequence of the room is another event's: the log is behind the store")
}

// storedUnder returns what is stored under some identities, which are in some rooms.
func storedUnder(ctx context.Context, of *mongo.Collection, ids, rooms bson.A) (map[string]claimed, error) {
	found, err := find[claimed](ctx, of, bson.D{among("_id", ids), among("room", rooms)},
		options.Find().SetProjection(bson.D{{Key: "sequence", Value: 1}, {Key: "about", Value: 1}, {Key: "over", Value: 1}}))
	if err != nil {
		return nil, err
	}
	at := make(map[string]claimed, len(found))
	for _, f := range found {
		at[f.ID] = f
	}
	return at, nil
}

// among is a condition on a field. One value is an equality, for which every
// server uses an index.
func among(field string, values bson.A) bson.E {
	if len(values) == 1 {
		return bson.E{Key: field, Value: values[0]}
	}
	return bson.E{Key: field, Value: bson.D{{Key: "$in", Value: values}}}
}

func above(field string, value any) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$gt", Value: value}}}
}

func below(field string, value any) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$lt", Value: value}}}
}
