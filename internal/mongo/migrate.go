package mongo

import (
	"context"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Layout 2 had less in its members' documents, and read marks as clients sent them.
const layout2 = "2"

// member2 is a member's document of layout 2, or of this one.
type member2 struct {
	Now      memberDoc     `bson:"inline"`
	ActiveAt chat.Sequence `bson:"activeAt"`
}

// fromLayout2 brings the members up to date. Any number of processes may do so at
// once, and it may be interrupted and begun again: what is done already stays as it
// is. Processes of the version before must have ended.
func (s *Store) fromLayout2(ctx context.Context) error {
	slog.Info("the store's members are brought up to date")
	newest := make(map[chat.RoomID]chat.Sequence)
	for after, more := "", true; more; {
		err := again(ctx, func(bool) (err error) {
			after, more, err = s.convertMembers(ctx, after, newest)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.setLayout(ctx, layout2, layout3)
}

func (s *Store) setLayout(ctx context.Context, from, to string) error {
	return again(ctx, func(bool) error {
		_, err := s.db.Collection("schema").UpdateOne(ctx, bson.D{{Key: "_id", Value: "layout"}, {Key: "version", Value: from}}, set(bson.E{Key: "version", Value: to}))
		return err
	})
}

// convertMembers converts one page of members, in the order of their keys, and
// returns where the next one begins. If somebody has changed one meanwhile, that is
// at the same place.
func (s *Store) convertMembers(ctx context.Context, after string, newest map[chat.RoomID]chat.Sequence) (next string, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := find[member2](ctx, s.rooms.members, bson.D{above("_id", after)}, limited(together).SetSort(ascending("_id")))
	if err != nil || len(page) == 0 {
		return after, false, err
	}
	var updates []mongo.WriteModel
	for i := range page {
		update, err := s.convertMember(ctx, &page[i], newest)
		if err != nil {
			return after, true, err
		}
		if update != nil {
			updates = append(updates, update)
		}
	}
	if len(updates) > 0 {
		matched, err := modify(ctx, s.rooms.members, updates)
		if err != nil || matched < len(updates) {
			return after, true, err
		}
	}
	return page[len(page)-1].Now.ID, true, nil
}

// convertMember is what converts one member; nil if there is nothing to do.
func (s *Store) convertMember(ctx context.Context, m *member2, newest map[chat.RoomID]chat.Sequence) (mongo.WriteModel, error) {
	d := &m.Now
	read := d.Read
	if read > 0 {
		last, err := s.newest(ctx, d.Room, newest)
		if err != nil {
			return nil, err
		}
		read = min(read, last)
	}
	if m.ActiveAt == 0 && read == d.Read {
		return nil, nil
	}
	revision := d.Revision
	if m.ActiveAt != 0 {
		removed := false
		if !d.Active {
			var err error
			if removed, err = s.isRemoval(ctx, d.Room, m.ActiveAt); err != nil {
				return nil, err
			}
		}
		d.State.Merge(projection.Stay(d.Active, removed, m.ActiveAt))
		d.derive()
	}
	fields, err := d.fields()
	if err != nil {
		return nil, err
	}
	return mongo.NewUpdateOneModel().
		SetFilter(append(d.filter(), bson.E{Key: "revision", Value: revision})).
		SetUpdate(bson.D{
			{Key: "$set", Value: append(fields, bson.E{Key: "revision", Value: revision + 1})},
			{Key: "$unset", Value: bson.D{{Key: "activeAt", Value: ""}}},
			{Key: "$min", Value: bson.D{{Key: "read", Value: read}}},
		}), nil
}

// newest is the sequence of a room's newest stored event.
func (s *Store) newest(ctx context.Context, room chat.RoomID, known map[chat.RoomID]chat.Sequence) (chat.Sequence, error) {
	last, ok := known[room]
	if ok {
		return last, nil
	}
	events, _, err := s.events.Events(ctx, room, chat.Range{Limit: 1, Newest: true})
	if err != nil {
		return 0, err
	}
	if len(events) > 0 {
		last = events[0].Sequence
	}
	known[room] = last
	return last, nil
}

// isRemoval reports whether a stored event is a removal.
func (s *Store) isRemoval(ctx context.Context, room chat.RoomID, at chat.Sequence) (bool, error) {
	events, _, err := s.events.Events(ctx, room, chat.Range{After: at - 1, Before: at + 1, Limit: 1})
	return len(events) > 0 && events[0].Type == chat.MemberRemoved, err
}
