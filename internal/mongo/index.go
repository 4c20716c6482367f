package mongo

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
)

// Index is the search index: the messages' terms, which the database inverts by an
// index that has an entry for each term of a message. The sender is a term too, so
// that a search for what one person said is one more word to intersect.
type Index struct {
	all     *mongo.Collection
	changes *mongo.Collection
	marks   *marks
}

var _ chat.SearchIndex = (*Index)(nil)

type document struct {
	ID       string        `bson:"_id"`
	Room     chat.RoomID   `bson:"room"`
	Sequence chat.Sequence `bson:"sequence"`
	Time     time.Time     `bson:"time"`
	Terms    []string      `bson:"terms"`    // the sender's is the last one
	Analysis int           `bson:"analysis"` // of its own terms

	// Of a message that was edited or deleted: the terms that it had, and a count of changes.
	Own      []string `bson:"own,omitempty"`
	Revision int64    `bson:"revision,omitempty"`
}

// senderMark begins the term that is a sender, and no other. It is not NUL, which
// servers of MongoDB's protocol over PostgreSQL cannot store.
const senderMark = "\x01"

func senderTerm(user chat.UserID) string { return senderMark + string(user) }

// Put implements [chat.SearchIndex]. Errors: Invalid for a document that cannot be
// indexed, TooLarge (none is indexed then), Unavailable.
func (x *Index) Put(ctx context.Context, docs []chat.Document) error {
	var c claims
	var moved moves
	for i := range docs {
		d := &docs[i]
		moved.add(d.Origin, d.Sequence)
		if strings.HasPrefix(string(d.Room), "@") {
			continue
		}
		if err := indexable(d); err != nil {
			return err
		}
		event := chat.Event{Source: d.Source}
		cl := claim{id: identity(d.Room, d.Source, d.ID), room: d.Room, sequence: d.Sequence}
		if d.About != 0 {
			cl.doc = newChange(d, string(event.User()))
		} else {
			cl.doc = &document{
				ID: cl.id, Room: d.Room, Sequence: d.Sequence, Time: d.Time,
				Terms: append(slices.Clone(d.Terms), senderTerm(event.User())), Analysis: d.Analysis,
			}
		}
		c.add(cl)
	}
	if err := x.put(ctx, c.all); err != nil {
		return err
	}
	return x.marks.note(ctx, moved)
}

// putMessages stores messages. One that was found to have the identity of an earlier
// change may go while it is put again, which looks as if another had its place.
func (x *Index) putMessages(ctx context.Context, posted *claims) (err error) {
	for round := 1; round == 1 || chat.KindOf(err) == chat.Conflict && round <= mergeRounds && rest(ctx, mergePause); round++ {
		if err = posted.put(ctx, x.all); err == nil {
			return nil
		}
	}
	return err
}

// put stores messages and changes, and then what these come to.
func (x *Index) put(ctx context.Context, all []claim) error {
	var posted claims
	var changes []*change
	for _, cl := range all {
		if c, ok := cl.doc.(*change); ok {
			changes = append(changes, c)
		} else {
			posted.all = append(posted.all, cl)
		}
	}
	concerned, err := x.putChanges(ctx, changes)
	if err != nil {
		return err
	}
	if err := x.putMessages(ctx, &posted); err != nil {
		return err
	}
	for some := range slices.Chunk(posted.all, together) {
		if err := again(ctx, func(bool) error { return x.cross(ctx, some, nil, concerned) }); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(changes, together) {
		if err := again(ctx, func(bool) error { return x.cross(ctx, nil, some, concerned) }); err != nil {
			return err
		}
	}
	return x.settle(ctx, concerned)
}

func indexable(d *chat.Document) error {
	switch {
	case !d.Room.Valid():
		return chat.Errorf(chat.Invalid, "a document needs a room")
	case d.Sequence <= 0:
		return chat.Errorf(chat.Invalid, "a document needs a sequence")
	case d.About < 0 || d.About >= d.Sequence || d.Deleted && d.About == 0:
		return chat.Errorf(chat.Invalid, "an edit or a deletion needs a message before it")
	case strings.ContainsAny(d.Source, "\x00\n") || strings.ContainsAny(d.ID, "\x00\n"):
		return chat.Errorf(chat.Invalid, "source and id must not contain control characters")
	}
	length := 0
	for _, term := range d.Terms {
		if !validTerm(term) {
			return chat.Errorf(chat.Invalid, "a term must not be empty, contain NUL, nor begin with U+0001")
		}
		length += len(term) + 16 // with its place in the list
	}
	return checkContent(length)
}

func validTerm(term string) bool {
	return term != "" && strings.IndexByte(term, 0) < 0 && !strings.HasPrefix(term, senderMark)
}

// Wipe implements [chat.SearchIndex]. It deletes what is there when it gets there,
// in steps, each of which is bounded; the collection stays, with its indexes and
// its shards. Errors: Unavailable.
func (x *Index) Wipe(ctx context.Context) error {
	if err := x.marks.forget(ctx); err != nil { // first: what is gone is to be indexed again
		return err
	}
	for _, c := range []*mongo.Collection{x.all, x.changes} {
		err := walk(ctx, c, func(ctx context.Context, docs []document) error {
			var ids, rooms bson.A
			for i := range docs {
				ids, rooms = append(ids, docs[i].ID), append(rooms, docs[i].Room)
			}
			return again(ctx, func(bool) error {
				_, err := c.DeleteMany(ctx, bson.D{among("_id", ids), among("room", rooms)})
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Dump implements [chat.SearchIndex]: by room, source and id of the message, then
// by term. Errors: f's, Unavailable.
func (x *Index) Dump(ctx context.Context, f func(room chat.RoomID, term string, hit chat.Hit) error) error {
	return walk(ctx, x.all, func(_ context.Context, docs []document) error {
		for i := range docs {
			d := &docs[i]
			slices.Sort(d.Terms)
			for _, term := range d.Terms {
				if strings.HasPrefix(term, senderMark) {
					continue
				}
				if err := f(d.Room, term, d.hit()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (d *document) hit() chat.Hit {
	return chat.Hit{Room: d.Room, Sequence: d.Sequence, Time: d.Time}
}

// walk calls f with all documents of a collection, by _id. Each batch is a query of its own, so
// that it can take as long as it wants.
func walk(ctx context.Context, c *mongo.Collection, f func(context.Context, []document) error) error {
	for last := ""; ; {
		var docs []document
		err := func() (err error) {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			docs, err = find[document](ctx, c, bson.D{above("_id", last)}, limited(together).SetSort(ascending("_id")))
			return err
		}()
		if err != nil {
			return err
		}
		if len(docs) == 0 {
			return ctx.Err()
		}
		last = docs[len(docs)-1].ID
		if err := f(ctx, docs); err != nil {
			return err
		}
	}
}
