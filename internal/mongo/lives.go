package mongo

import (
	"cmp"
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// lifeDoc is what happened to a message. It may be there before the message is.
type lifeDoc struct {
	ID       string          `bson:"_id"`
	Room     chat.RoomID     `bson:"room"`
	Message  chat.Sequence   `bson:"message"`
	Life     projection.Life `bson:"life"`
	Pinned   chat.Sequence   `bson:"pinned,omitempty"` // since then
	Revision int64           `bson:"revision"`
}

func lifeID(room chat.RoomID, message chat.Sequence) string {
	return string(room) + " " + message.String()
}

func newLife(room chat.RoomID, message chat.Sequence, life *projection.Life) lifeDoc {
	return lifeDoc{ID: lifeID(room, message), Room: room, Message: message, Life: *life, Pinned: life.Pin.Since(), Revision: 1}
}

func (l *lifeDoc) key() string     { return l.ID }
func (l *lifeDoc) revision() int64 { return l.Revision }

func (l *lifeDoc) filter() bson.D {
	return bson.D{{Key: "_id", Value: l.ID}, {Key: "room", Value: l.Room}}
}

func (l *lifeDoc) merge(from *lifeDoc) (changed bool) {
	changed = l.Life.Merge(&from.Life)
	l.Pinned = l.Life.Pin.Since()
	return changed
}

func (l *lifeDoc) fields() (bson.D, error) {
	return bson.D{{Key: "life", Value: l.Life}, {Key: "pinned", Value: l.Pinned}}, nil
}

// reactionDoc is one user's reaction to a message with one emoji, whether it stands or
// not.
type reactionDoc struct {
	ID       string            `bson:"_id"`
	Room     chat.RoomID       `bson:"room"`
	Message  chat.Sequence     `bson:"message"`
	User     chat.UserID       `bson:"user"`
	Emoji    string            `bson:"emoji"`
	Toggle   projection.Toggle `bson:"toggle"`
	Since    chat.Sequence     `bson:"since"` // 0 if it does not stand
	Revision int64             `bson:"revision"`
}

func newReaction(room chat.RoomID, message chat.Sequence, r *projection.Reaction) reactionDoc {
	return reactionDoc{
		ID: lifeID(room, message) + " " + string(r.User) + " " + r.Emoji, Room: room, Message: message,
		User: r.User, Emoji: r.Emoji, Toggle: r.Toggle, Since: r.Since(), Revision: 1,
	}
}

func (r *reactionDoc) key() string     { return r.ID }
func (r *reactionDoc) revision() int64 { return r.Revision }

func (r *reactionDoc) filter() bson.D {
	return bson.D{{Key: "_id", Value: r.ID}, {Key: "room", Value: r.Room}}
}

func (r *reactionDoc) merge(from *reactionDoc) (changed bool) {
	changed = r.Toggle.Merge(&from.Toggle)
	r.Since = r.Toggle.Since()
	return changed
}

func (r *reactionDoc) fields() (bson.D, error) {
	return bson.D{{Key: "toggle", Value: r.Toggle}, {Key: "since", Value: r.Since}}, nil
}

// Lives implements [projection.Lives]: a query for what happened, and one for the
// reactions that stand. Errors: Unavailable.
func (e *Events) Lives(ctx context.Context, room chat.RoomID, messages []chat.Sequence) (map[chat.Sequence]*projection.State, error) {
	states := make(map[chat.Sequence]*projection.State)
	if !room.Valid() || len(messages) == 0 {
		return states, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ids := make(bson.A, len(messages))
	for i, m := range messages {
		ids[i] = lifeID(room, m)
	}
	lives, err := find[lifeDoc](ctx, e.lives, bson.D{among("_id", ids), {Key: "room", Value: room}}, options.Find())
	if err != nil {
		return nil, err
	}
	for i := range lives {
		states[lives[i].Message] = &projection.State{Life: lives[i].Life}
	}
	reactions, err := find[reactionDoc](ctx, e.reactions,
		bson.D{{Key: "room", Value: room}, among("message", values(messages)), above("since", 0)}, options.Find())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(reactions, func(a, b reactionDoc) int { return cmp.Compare(a.Since, b.Since) })
	for i := range reactions {
		r := &reactions[i]
		s := states[r.Message]
		if s == nil {
			s = new(projection.State)
			states[r.Message] = s
		}
		if s.Deleted() { // it has lost them
			continue
		}
		s.Reactions = append(s.Reactions, projection.Reaction{
			User: r.User, Emoji: r.Emoji, Toggle: projection.Toggle{Added: []chat.Sequence{r.Since}},
		})
	}
	return states, nil
}

// Pinned implements [projection.Lives]. Errors: Unavailable.
func (e *Events) Pinned(ctx context.Context, room chat.RoomID) ([]chat.Sequence, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lives, err := find[struct {
		Message chat.Sequence `bson:"message"`
	}](ctx, e.lives, bson.D{{Key: "room", Value: room}, above("pinned", 0)},
		options.Find().SetSort(ascending("pinned")).SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "message", Value: 1}}))
	messages := make([]chat.Sequence, len(lives))
	for i := range lives {
		messages[i] = lives[i].Message
	}
	return messages, err
}
