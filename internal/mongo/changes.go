package mongo

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Edits and deletions have documents of their own, all of which are kept: whichever
// turns out to be an earlier one that was sent again, the one that counts is found. What
// they come to is written to the message's document, whose revision reports whether
// somebody else has meanwhile. Whoever has written a change, or a message, reads the
// other afterwards: so of two that come at once at least one sees both.

// change is an edit or a deletion.
type change struct {
	ID       string          `bson:"_id"`
	Room     chat.RoomID     `bson:"room"`
	Sequence chat.Sequence   `bson:"sequence"`
	Message  chat.Sequence   `bson:"message"`
	Rank     int64           `bson:"rank"` // the sequence; of deletions deletionRank more
	Sender   string          `bson:"sender,omitempty"`
	Terms    []string        `bson:"terms,omitempty"`
	Analysis int             `bson:"analysis"`
	Before   []chat.Sequence `bson:"before,omitempty"` // messages of later changes that gave way to this one
}

const deletionRank int64 = 1 << 60

func newChange(d *chat.Document, sender string) *change {
	c := &change{
		ID: identity(d.Room, d.Source, d.ID), Room: d.Room, Sequence: d.Sequence, Message: d.About, Rank: int64(d.Sequence),
		Sender: sender, Analysis: d.Analysis,
	}
	if d.Deleted {
		c.Rank += deletionRank
		c.Analysis = math.MaxInt32 // has no terms
	} else {
		c.Terms = slices.DeleteFunc(slices.Clone(d.Terms), lasting)
	}
	return c
}

func lasting(term string) bool { return strings.HasPrefix(term, chat.Lasting) }

// place is a message's, in its room.
type place struct {
	room     chat.RoomID
	sequence chat.Sequence
}

type messages map[place]bool

func (m messages) add(room chat.RoomID, sequences ...chat.Sequence) {
	for _, s := range sequences {
		m[place{room, s}] = true
	}
}

// putChanges stores changes, and returns the messages that they concern. Those that are
// there already are among these: who put them may have got no further.
func (x *Index) putChanges(ctx context.Context, all []*change) (messages, error) {
	concerned := make(messages)
	for batch := range slices.Chunk(all, together) {
		left := batch
		for round := 1; len(left) > 0; round++ {
			if round > mergeRounds || round > 1 && !rest(ctx, mergePause) {
				return nil, chat.Errorf(chat.Unavailable, "store: too many change the same document")
			}
			err := again(ctx, func(bool) (err error) {
				left, err = x.putChangesOnce(ctx, left, concerned)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return concerned, nil
}

// putChangesOnce returns the changes that are to be put again, as somebody has changed
// what is stored under their identities meanwhile.
func (x *Index) putChangesOnce(ctx context.Context, batch []*change, concerned messages) (left []*change, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs := make([]any, len(batch))
	for i, c := range batch {
		docs[i] = c
		concerned.add(c.Room, c.Message)
	}
	taken, err := insertNew(ctx, x.changes, docs)
	if err != nil {
		return batch, err
	}
	if len(taken) == 0 {
		return nil, nil
	}
	ids, rooms := bson.A{}, bson.A{}
	for _, i := range taken {
		ids, rooms = append(ids, batch[i].ID), append(rooms, batch[i].Room)
	}
	found, err := find[change](ctx, x.changes, bson.D{among("_id", ids), among("room", rooms)},
		options.Find().SetProjection(bson.D{{Key: "terms", Value: 0}}))
	if err != nil {
		return batch, err
	}
	stored := make(map[string]*change, len(found))
	for i := range found {
		stored[found[i].ID] = &found[i]
	}
	var updates []mongo.WriteModel
	for _, i := range taken {
		c, was := batch[i], stored[batch[i].ID]
		if was == nil { // it gave way to a message
			left = append(left, c)
			continue
		}
		concerned.add(was.Room, was.Message)
		concerned.add(was.Room, was.Before...)
		if was.Sequence <= c.Sequence {
			continue
		}
		c.Before = was.Before
		if was.Message != c.Message && !slices.Contains(c.Before, was.Message) {
			c.Before = append(slices.Clip(c.Before), was.Message)
		}
		left = append(left, c)
		updates = append(updates, mongo.NewReplaceOneModel().
			SetFilter(bson.D{{Key: "_id", Value: c.ID}, {Key: "room", Value: c.Room}, {Key: "sequence", Value: was.Sequence}}).SetReplacement(c))
	}
	if len(updates) > 0 {
		if _, err := modify(ctx, x.changes, updates); err != nil {
			return batch, err
		}
	}
	return left, nil // what was replaced is found as it should be
}

// cross decides between messages and changes under one identity: of these, too, the one
// with the lowest sequence counts. It adds the messages that it concerns.
func (x *Index) cross(ctx context.Context, posted []claim, changes []*change, concerned messages) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if len(changes) > 0 {
		ids, rooms := bson.A{}, bson.A{}
		at := make(map[string]*change)
		for _, c := range changes {
			ids, rooms, at[c.ID] = append(ids, c.ID), append(rooms, c.Room), c
		}
		first, err := storedUnder(ctx, x.all, ids, rooms)
		if err != nil {
			return err
		}
		for id, message := range first {
			if err := x.decide(ctx, id, at[id].Room, message.Sequence, at[id].Sequence); err != nil {
				return err
			}
		}
	}
	if len(posted) == 0 {
		return nil
	}
	ids, rooms, sequences := bson.A{}, bson.A{}, bson.A{}
	at := make(map[string]chat.Sequence)
	for _, p := range posted {
		ids, rooms, sequences = append(ids, p.id), append(rooms, p.room), append(sequences, p.sequence)
		at[p.id] = p.sequence
	}
	found, err := find[change](ctx, x.changes, bson.D{among("room", rooms), {Key: "$or", Value: bson.A{
		bson.D{among("message", sequences)}, bson.D{among("_id", ids)},
	}}}, options.Find().SetProjection(bson.D{{Key: "terms", Value: 0}}))
	if err != nil {
		return err
	}
	for i := range found {
		c := &found[i]
		concerned.add(c.Room, c.Message)
		if message, ok := at[c.ID]; ok {
			concerned.add(c.Room, c.Before...)
			if err := x.decide(ctx, c.ID, c.Room, message, c.Sequence); err != nil {
				return err
			}
		}
	}
	return nil
}

// decide removes one of a message and a change under one identity.
func (x *Index) decide(ctx context.Context, id string, room chat.RoomID, message, change chat.Sequence) error {
	from, at := x.all, message
	if message < change {
		from, at = x.changes, change
	}
	_, err := from.DeleteOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "room", Value: room}, {Key: "sequence", Value: bson.D{{Key: "$gte", Value: at}}}})
	return failure(err)
}

// settle writes to messages what their changes come to.
func (x *Index) settle(ctx context.Context, concerned messages) error {
	for round := 1; len(concerned) > 0; round++ {
		if round > mergeRounds || round > 1 && !rest(ctx, mergePause*time.Duration(min(round, 10))) {
			return chat.Errorf(chat.Unavailable, "store: too many change the same document")
		}
		err := again(ctx, func(bool) error { return x.settleOnce(ctx, concerned) })
		if err != nil {
			return err
		}
	}
	return nil
}

// settleOnce settles messages and takes them from those that are concerned, except for
// those that others have just changed.
func (x *Index) settleOnce(ctx context.Context, concerned messages) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rooms, sequences := bson.A{}, bson.A{}
	for m := range concerned {
		if rooms, sequences = append(rooms, m.room), append(sequences, m.sequence); len(rooms) == together {
			break
		}
	}
	found, err := find[document](ctx, x.all, bson.D{among("room", rooms), among("sequence", sequences)}, options.Find())
	if err != nil {
		return err
	}
	stored := make(map[place]*document)
	for i := range found {
		stored[place{found[i].Room, found[i].Sequence}] = &found[i]
	}
	for i := range rooms {
		m := place{rooms[i].(chat.RoomID), sequences[i].(chat.Sequence)}
		done := true
		if d := stored[m]; d != nil {
			if done, err = x.settleMessage(ctx, d); err != nil {
				return err
			}
		}
		if done {
			delete(concerned, m)
		}
	}
	return nil
}

// settleMessage reports false if somebody has changed the message meanwhile.
func (x *Index) settleMessage(ctx context.Context, d *document) (bool, error) {
	own := d.Own
	if own == nil {
		own = d.Terms
	}
	terms, err := x.current(ctx, d, own)
	if err != nil || slices.Equal(terms, d.Terms) {
		return true, err
	}
	var revision any = d.Revision
	if d.Revision == 0 {
		revision = nil
	}
	matched, err := modify(ctx, x.all, []mongo.WriteModel{mongo.NewUpdateOneModel().
		SetFilter(bson.D{{Key: "_id", Value: d.ID}, {Key: "room", Value: d.Room}, {Key: "sequence", Value: d.Sequence}, {Key: "revision", Value: revision}}).
		SetUpdate(set(bson.E{Key: "terms", Value: terms}, bson.E{Key: "own", Value: own}, bson.E{Key: "revision", Value: d.Revision + 1}))})
	return matched == 1, err
}

// someChanges is how many changes of a message are read at once, which is enough unless
// there are foreign ones.
const someChanges = 4

// current are the terms by which a message is found now that has its own.
func (x *Index) current(ctx context.Context, d *document, own []string) ([]string, error) {
	sender := own[len(own)-1]
	for below := int64(math.MaxInt64); ; {
		changes, err := find[change](ctx, x.changes, bson.D{
			{Key: "room", Value: d.Room}, {Key: "message", Value: d.Sequence}, {Key: "rank", Value: bson.D{{Key: "$lt", Value: below}}},
		}, limited(someChanges).SetSort(descending("rank")))
		if err != nil {
			return nil, err
		}
		for i := range changes {
			c := &changes[i]
			switch {
			case c.Rank >= deletionRank:
				return []string{}, nil
			case senderTerm(chat.UserID(c.Sender)) == sender:
				terms := slices.Clone(c.Terms)
				for _, term := range own {
					if lasting(term) {
						terms = append(terms, term)
					}
				}
				return append(terms, sender), nil
			}
			below = c.Rank
		}
		if len(changes) < someChanges {
			return own, nil
		}
	}
}
