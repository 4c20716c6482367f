package mongo

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// show lets messages show what their lives say, if they have any, and erases edits of
// those that are deleted: of all if it is told now that they are, or else of those that
// are told.
func (e *Events) show(ctx context.Context, messages []messageOf, told []*claim) error {
	for batch := range slices.Chunk(messages, together) {
		for round := 1; ; round++ {
			var done bool
			err := again(ctx, func(bool) (err error) {
				ctx, cancel := context.WithTimeout(ctx, callTimeout)
				defer cancel()
				done, err = e.showOnce(ctx, batch, told)
				return err
			})
			if err != nil {
				return err
			}
			if done {
				break
			}
			if round == mergeRounds || !rest(ctx, mergePause*time.Duration(min(round, 10))) {
				return chat.Errorf(chat.Unavailable, "store: too many change the same message")
			}
		}
	}
	return nil
}

func (e *Events) showOnce(ctx context.Context, messages []messageOf, told []*claim) (done bool, err error) {
	var ids, rooms bson.A
	for _, m := range messages {
		ids, rooms = append(ids, lifeID(m.Room, m.Message)), append(rooms, m.Room)
	}
	lives, err := find[lifeDoc](ctx, e.lives, bson.D{among("_id", ids), among("room", rooms)}, options.Find())
	if err != nil || len(lives) == 0 {
		return true, err
	}
	at := make(map[messageOf]*lifeDoc, len(lives))
	var sequences bson.A
	rooms = nil
	for i := range lives {
		l := &lives[i]
		at[messageOf{l.Room, l.Message}] = l
		rooms, sequences = append(rooms, l.Room), append(sequences, l.Message)
	}
	posted, err := find[eventDoc](ctx, e.all, bson.D{among("room", rooms), {Key: "message", Value: true}, among("sequence", sequences)}, options.Find())
	if err != nil {
		return false, err
	}
	var updates []mongo.WriteModel
	for i := range posted {
		life := at[messageOf{posted[i].Room, posted[i].Sequence}]
		if life == nil {
			continue
		}
		update, err := posted[i].show(life)
		if err != nil {
			return false, err
		}
		if update != nil {
			updates = append(updates, update)
		}
	}
	var erasing []mongo.WriteModel
	for i := range lives {
		if !lives[i].Life.Deleted() {
			continue
		}
		of, err := e.eraseEdits(ctx, &lives[i], told)
		if err != nil {
			return false, err
		}
		erasing = append(erasing, of...)
	}
	if len(erasing) > 0 {
		// One that is not there any more was replaced by somebody who looks for its own.
		if _, err := modify(ctx, e.all, erasing); err != nil {
			return false, err
		}
	}
	if len(updates) == 0 {
		return true, nil
	}
	matched, err := modify(ctx, e.all, updates)
	return matched == len(updates), err
}

// show is the update by which a message shows its life; nil if it does so.
func (d *eventDoc) show(l *lifeDoc) (mongo.WriteModel, error) {
	plain := !l.Life.Deleted() && !l.Life.Replaced()
	if d.Life >= l.Revision || plain && d.Life == 0 {
		return nil, nil
	}
	ev, err := d.decode()
	if err != nil {
		return nil, err
	}
	where := bson.D{{Key: "_id", Value: d.ID}, {Key: "room", Value: d.Room}, {Key: "sequence", Value: d.Sequence}, {Key: "life", Value: d.Life}}
	if d.Life == 0 {
		where[3].Value = nil // it has none
	}
	set, unset := bson.D{{Key: "life", Value: l.Revision}}, bson.D{}
	if m := mentionOf(ev, &l.Life); m != nil {
		set = append(set, bson.E{Key: "mention", Value: m})
	} else {
		unset = append(unset, bson.E{Key: "mention", Value: ""})
	}
	if l.Life.Deleted() {
		projection.Erase(ev)
		set = append(set, bson.E{Key: "frame", Value: string(ev.AppendFrame(nil))},
			bson.E{Key: "gone", Value: gone{Room: d.Room, Sequence: d.Sequence, Sender: d.Sender}})
	}
	update := bson.D{{Key: "$set", Value: set}}
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return mongo.NewUpdateOneModel().SetFilter(where).SetUpdate(update), nil
}

// eraseEdits is what erases the edits of a deleted message.
func (e *Events) eraseEdits(ctx context.Context, l *lifeDoc, told []*claim) (updates []mongo.WriteModel, err error) {
	var of []eventDoc
	all := false
	for _, c := range told {
		d := c.doc.(*eventDoc)
		if d.Room == l.Room && d.about.Message == l.Message {
			of = append(of, *d)
			all = all || d.event.Type == chat.MessageDeleted
		}
	}
	if all {
		if of, err = e.abouts(ctx, messageOf{l.Room, l.Message}); err != nil {
			return nil, err
		}
	}
	for i := range of {
		ev, err := of[i].decode()
		if err != nil {
			return nil, err
		}
		if ev.Type != chat.MessageEdited {
			continue
		}
		was := string(ev.Data)
		if projection.Erase(ev); string(ev.Data) == was {
			continue
		}
		where := bson.D{{Key: "_id", Value: of[i].ID}, {Key: "room", Value: of[i].Room}, {Key: "sequence", Value: of[i].Sequence}}
		updates = append(updates, mongo.NewUpdateOneModel().SetFilter(where).
			SetUpdate(set(bson.E{Key: "frame", Value: string(ev.AppendFrame(nil))})))
	}
	return updates, nil
}
