package mongo

import (
	"bytes"
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// What events say about messages is merged into the documents of lives and reactions
// once the events are stored, and messages then show what they need of it: whom they
// mention, or that they are deleted.
//
// Processes may do so at once. Whoever puts a message looks for its life after that,
// and whoever changes a life looks for the message after that, so one of the two sees
// the other. What an event has said is taken back by whoever replaces it, who notes in
// the same write that this is to be done; or, if it is replaced before it is merged, by
// whoever has merged it, who looks again whether it is there.

// live merges what stored events say about messages.
func (e *Events) live(ctx context.Context, all []claim) error {
	var lives merger[lifeDoc, *lifeDoc]
	var reactions merger[reactionDoc, *reactionDoc]
	var told, over []*claim
	var changed touched
	for i := range all {
		c := &all[i]
		d := c.doc.(*eventDoc)
		if !c.stands() {
			continue
		}
		if len(c.stored.Over) > 0 {
			over = append(over, c)
		}
		if d.Message {
			changed.add(d.Room, d.Sequence)
		}
		if d.about == nil {
			continue
		}
		told = append(told, c)
		if d.about.Reaction != nil {
			reactions.add(newReaction(d.Room, d.about.Message, d.about.Reaction))
			continue
		}
		lives.add(newLife(d.Room, d.about.Message, d.about.Life))
		changed.add(d.Room, d.about.Message)
	}
	if err := lives.apply(ctx, e.lives); err != nil {
		return err
	}
	if err := reactions.apply(ctx, e.reactions); err != nil {
		return err
	}
	if err := e.takeBack(ctx, told, over, &changed); err != nil {
		return err
	}
	if err := e.show(ctx, changed.all, told); err != nil {
		return err
	}
	return e.takenBack(ctx, over)
}

// touched are messages, each once.
type touched struct {
	all  []messageOf
	have map[messageOf]bool
}

func (t *touched) add(room chat.RoomID, message chat.Sequence) {
	m := messageOf{room, message}
	if t.have[m] {
		return
	}
	if t.have == nil {
		t.have = make(map[messageOf]bool)
	}
	t.have[m] = true
	t.all = append(t.all, m)
}

// takeBack makes anew the lives of messages that events were about which are replaced:
// by claims, or of those that are told themselves, meanwhile.
func (e *Events) takeBack(ctx context.Context, told, over []*claim, changed *touched) error {
	var anew touched
	for _, c := range over {
		for _, message := range c.stored.Over {
			anew.add(c.room, message)
		}
	}
	for batch := range slices.Chunk(told, together) {
		var ids, rooms bson.A
		for _, c := range batch {
			ids, rooms = append(ids, c.id), append(rooms, c.room)
		}
		stored, err := e.under(ctx, ids, rooms)
		if err != nil {
			return err
		}
		for _, c := range batch {
			if stored[c.id].Sequence != c.sequence {
				anew.add(c.room, c.doc.(*eventDoc).about.Message)
			}
		}
	}
	for _, m := range anew.all {
		changed.add(m.Room, m.Message)
		if err := e.renew(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (e *Events) under(ctx context.Context, ids, rooms bson.A) (stored map[string]claimed, err error) {
	err = again(ctx, func(bool) (err error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		stored, err = storedUnder(ctx, e.all, ids, rooms)
		return err
	})
	return stored, err
}

// takenBack notes that nothing is to be taken back any more for events.
func (e *Events) takenBack(ctx context.Context, over []*claim) error {
	for _, c := range over {
		err := again(ctx, func(bool) error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			where := bson.D{{Key: "_id", Value: c.id}, {Key: "room", Value: c.room}, {Key: "sequence", Value: c.sequence}}
			_, err := e.all.UpdateOne(ctx, where, bson.D{{Key: "$unset", Value: bson.D{{Key: "over", Value: ""}}}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// renew makes the life of a message, and the reactions to it, from the events that are
// stored. What is merged meanwhile has another revision, and then it begins again.
func (e *Events) renew(ctx context.Context, m messageOf) error {
	for round := 1; ; round++ {
		var done bool
		err := again(ctx, func(bool) (err error) {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			done, err = e.renewOnce(ctx, m)
			return err
		})
		if err != nil || done {
			return err
		}
		if round == mergeRounds || !rest(ctx, mergePause*time.Duration(min(round, 10))) {
			return chat.Errorf(chat.Unavailable, "store: too many change the same message")
		}
	}
}

func (e *Events) renewOnce(ctx context.Context, m messageOf) (done bool, err error) {
	here := bson.D{{Key: "room", Value: m.Room}, {Key: "message", Value: m.Message}}
	life := newLife(m.Room, m.Message, new(projection.Life))
	lives, err := find[lifeDoc](ctx, e.lives, life.filter(), options.Find())
	if err != nil {
		return false, err
	}
	reactions, err := find[reactionDoc](ctx, e.reactions, here, options.Find())
	if err != nil {
		return false, err
	}
	now, err := e.told(ctx, m) // after what it replaces is read
	if err != nil {
		return false, err
	}
	if len(lives) > 0 && lives[0].Life.Deleted() { // what it has erased does not come back
		now.Merge(&projection.Life{DeletedAt: lives[0].Life.DeletedAt})
	}
	life = newLife(m.Room, m.Message, &now.Life)
	livesDone, err := exchange[lifeDoc](ctx, e.lives, lives, []lifeDoc{life})
	if err != nil {
		return false, err
	}
	docs := make([]reactionDoc, len(now.Reactions))
	for i := range now.Reactions {
		docs[i] = newReaction(m.Room, m.Message, &now.Reactions[i])
	}
	for i := range reactions { // that nothing is said of any more
		r := &reactions[i]
		if !slices.ContainsFunc(docs, func(d reactionDoc) bool { return d.ID == r.ID }) {
			docs = append(docs, newReaction(m.Room, m.Message, &projection.Reaction{User: r.User, Emoji: r.Emoji}))
		}
	}
	reactionsDone, err := exchange[reactionDoc](ctx, e.reactions, reactions, docs)
	return livesDone && reactionsDone, err
}

// told is what the stored events say about a message.
func (e *Events) told(ctx context.Context, m messageOf) (s projection.State, err error) {
	docs, err := e.abouts(ctx, m)
	for i := range docs {
		ev, err := docs[i].decode()
		if err != nil {
			return s, err
		}
		if a, ok, err := projection.AboutOf(ev); err == nil && ok {
			s.Add(a)
		}
	}
	return s, err
}

func (e *Events) abouts(ctx context.Context, m messageOf) ([]eventDoc, error) {
	return find[eventDoc](ctx, e.all, bson.D{
		{Key: "about.room", Value: m.Room}, {Key: "about.message", Value: m.Message}, {Key: "room", Value: m.Room},
	}, options.Find())
}

func (d *eventDoc) decode() (*chat.Event, error) {
	ev, err := chat.DecodeFrame([]byte(d.Frame))
	if err != nil {
		return nil, chat.Errorf(chat.Internal, "store: an event is damaged: %w", err)
	}
	return &ev, nil
}

// exchange writes documents in place of those that were read, and reports whether
// nobody has changed one of these meanwhile.
func exchange[D any, P merged[D]](ctx context.Context, c *mongo.Collection, was, now []D) (done bool, err error) {
	stored := make(map[string]P, len(was))
	for i := range was {
		stored[P(&was[i]).key()] = &was[i]
	}
	var missing []any
	var updates []mongo.WriteModel
	for i := range now {
		d := P(&now[i])
		fields, err := d.fields()
		if err != nil {
			return false, err
		}
		old := stored[d.key()]
		if old == nil {
			missing = append(missing, d)
			continue
		}
		if same, err := sameFields(old, fields); err != nil || same {
			if err != nil {
				return false, err
			}
			continue
		}
		updates = append(updates, mongo.NewUpdateOneModel().
			SetFilter(append(d.filter(), bson.E{Key: "revision", Value: old.revision()})).
			SetUpdate(bson.D{{Key: "$set", Value: append(fields, bson.E{Key: "revision", Value: old.revision() + 1})}}))
	}
	done = true
	if len(missing) > 0 {
		taken, err := insertNew(ctx, c, missing)
		if err != nil {
			return false, err
		}
		done = len(taken) == 0
	}
	if len(updates) > 0 {
		matched, err := modify(ctx, c, updates)
		if err != nil {
			return false, err
		}
		done = done && matched == len(updates)
	}
	return done, nil
}

func sameFields[D any, P merged[D]](d P, fields bson.D) (bool, error) {
	have, err := d.fields()
	if err != nil {
		return false, err
	}
	a, err := bson.Marshal(have)
	if err != nil {
		return false, chat.Errorf(chat.Internal, "state: %w", err)
	}
	b, err := bson.Marshal(fields)
	if err != nil {
		return false, chat.Errorf(chat.Internal, "state: %w", err)
	}
	return bytes.Equal(a, b), nil
}
