package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Invites is the invite store.
type Invites struct {
	all   *mongo.Collection
	exact *mongo.Collection
}

var _ chat.InviteStore = (*Invites)(nil)

// inviteDoc is an invite. Whoever changes it raises the revision that they have read.
type inviteDoc struct {
	Code     string        `bson:"_id"`
	Room     chat.RoomID   `bson:"room"`
	By       chat.UserID   `bson:"by"`
	Created  time.Time     `bson:"created"`
	Expires  time.Time     `bson:"expires"`
	Uses     int           `bson:"uses"`
	Used     int           `bson:"used"`
	Since    chat.Sequence `bson:"since"`
	Claims   []chat.Claim  `bson:"claims"`
	Revision int64         `bson:"revision"`
}

func inviteOf(d *inviteDoc) chat.Invite {
	return chat.Invite{
		Code: d.Code, Room: d.Room, By: d.By, Created: d.Created, Expires: d.Expires,
		Uses: d.Uses, Used: d.Used, Since: d.Since, Claims: d.Claims,
	}
}

func docOf(i *chat.Invite) inviteDoc {
	return inviteDoc{
		Code: i.Code, Room: i.Room, By: i.By, Created: millis(i.Created), Expires: millis(i.Expires),
		Uses: i.Uses, Used: i.Used, Since: i.Since, Claims: i.Claims,
	}
}

// Create implements [chat.InviteStore]. Errors: Invalid for a code or a room that is
// none, Conflict, Unavailable.
func (s *Invites) Create(ctx context.Context, i chat.Invite) error {
	if !chat.RoomID(i.Code).Valid() || !i.Room.Valid() {
		return chat.Errorf(chat.Invalid, "an invite needs a code and a room")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(maybe bool) error {
		taken, err := insertNew(ctx, s.all, []any{docOf(&i)})
		if err != nil || len(taken) == 0 || maybe { // a code is random: what is there after a lost answer is ours
			return err
		}
		return chat.Errorf(chat.Conflict, "the invite exists")
	})
}

// Invite implements [chat.InviteStore]. Errors: NotFound, Unavailable.
func (s *Invites) Invite(ctx context.Context, code string) (chat.Invite, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doc, err := s.one(ctx, code)
	return inviteOf(&doc), err
}

func (s *Invites) one(ctx context.Context, code string) (inviteDoc, error) {
	found, err := find[inviteDoc](ctx, s.exact, bson.D{{Key: "_id", Value: code}}, limited(1))
	if err != nil {
		return inviteDoc{}, err
	}
	if len(found) == 0 {
		return inviteDoc{}, chat.Errorf(chat.NotFound, "no such invite")
	}
	return found[0], nil
}

// Invites implements [chat.InviteStore]. Errors: Unavailable.
func (s *Invites) Invites(ctx context.Context, room chat.RoomID) ([]chat.Invite, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[inviteDoc](ctx, s.all, bson.D{{Key: "room", Value: room}}, options.Find().SetSort(ascending("_id")))
	if err != nil {
		return nil, err
	}
	list := make([]chat.Invite, len(docs))
	for i := range docs {
		list[i] = inviteOf(&docs[i])
	}
	return list, nil
}

// Change implements [chat.InviteStore]. It goes on until nobody has changed the invite
// between reading and writing. Errors: NotFound, f's own, Unavailable.
func (s *Invites) Change(ctx context.Context, code string, f func(*chat.Invite) error) error {
	for round := 1; ; round++ {
		done, err := s.changeOnce(ctx, code, f)
		if err != nil || done {
			return err
		}
		if round == mergeRounds || !rest(ctx, mergePause*time.Duration(min(round, 10))) {
			return chat.Errorf(chat.Unavailable, "store: too many change the same invite")
		}
	}
}

// changeOnce reports whether it was the first to change what it has read. After a lost
// answer f is called again with what it has perhaps left.
func (s *Invites) changeOnce(ctx context.Context, code string, f func(*chat.Invite) error) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = again(ctx, func(bool) error {
		doc, err := s.one(ctx, code)
		if err != nil {
			return err
		}
		i := inviteOf(&doc)
		if err := f(&i); err != nil {
			return err
		}
		next := docOf(&i)
		next.Revision = doc.Revision + 1
		replaced, err := s.all.ReplaceOne(ctx, bson.D{{Key: "_id", Value: code}, {Key: "revision", Value: doc.Revision}}, next)
		done = err == nil && replaced.MatchedCount > 0
		return err
	})
	return done, err
}

// Withdraw implements [chat.InviteStore]. Errors: NotFound, Unavailable.
func (s *Invites) Withdraw(ctx context.Context, code string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(maybe bool) error {
		deleted, err := s.all.DeleteOne(ctx, bson.D{{Key: "_id", Value: code}})
		if err == nil && deleted.DeletedCount == 0 && !maybe {
			return chat.Errorf(chat.NotFound, "no such invite")
		}
		return err
	})
}
