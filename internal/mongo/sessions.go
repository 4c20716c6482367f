package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Sessions is the session store.
type Sessions struct {
	all   *mongo.Collection
	exact *mongo.Collection
}

var _ chat.SessionStore = (*Sessions)(nil)

type sessionDoc struct {
	ID      string      `bson:"_id"`
	User    chat.UserID `bson:"user"`
	Refresh string      `bson:"refresh"`
	Created time.Time   `bson:"created"`
	Rotated time.Time   `bson:"rotated,omitempty"`
	Expires time.Time   `bson:"expires"`
	Revoked bool        `bson:"revoked"`
}

func (d *sessionDoc) session() chat.Session {
	return chat.Session{ID: d.ID, User: d.User, Refresh: d.Refresh, Created: d.Created, Rotated: d.Rotated, Expires: d.Expires, Revoked: d.Revoked}
}

func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Open implements [chat.SessionStore]. Errors: Conflict when the ID is taken,
// Unavailable.
func (s *Sessions) Open(ctx context.Context, session chat.Session) error {
	doc := sessionDoc{
		ID: session.ID, User: session.User, Refresh: session.Refresh,
		Created: millis(session.Created), Rotated: millis(session.Rotated), Expires: millis(session.Expires), Revoked: session.Revoked,
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(maybe bool) error {
		taken, err := insertNew(ctx, s.all, []any{doc})
		if err != nil || len(taken) == 0 {
			return err
		}
		if maybe { // it may be ours that is there
			if there, err := s.one(ctx, doc.ID); err == nil && there == doc {
				return nil
			}
		}
		return chat.Errorf(chat.Conflict, "the session exists")
	})
}

// Session implements [chat.SessionStore]. Errors: NotFound, Unavailable.
func (s *Sessions) Session(ctx context.Context, id string) (chat.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doc, err := s.one(ctx, id)
	return doc.session(), err
}

func (s *Sessions) one(ctx context.Context, id string) (sessionDoc, error) {
	found, err := find[sessionDoc](ctx, s.exact, bson.D{{Key: "_id", Value: id}}, limited(1))
	if err != nil {
		return sessionDoc{}, err
	}
	if len(found) == 0 {
		return sessionDoc{}, chat.Errorf(chat.NotFound, "no such session")
	}
	return found[0], nil
}

// Rotate implements [chat.SessionStore]. Errors: Forbidden, Unauthenticated,
// NotFound, Unavailable, after which the session may be rotated: the same call again
// then finds its successor.
func (s *Sessions) Rotate(ctx context.Context, id, old, successor string, now, expires time.Time) (chat.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r := rotation{s: s, id: id, old: old, successor: successor, now: millis(now), expires: millis(expires)}
	var rotated sessionDoc
	err := again(ctx, func(bool) (err error) {
		rotated, err = r.try(ctx)
		return err
	})
	return rotated.session(), err
}

// rotation is one call of Rotate. To compare the hash and to replace it is one step
// of the server's.
type rotation struct {
	s                  *Sessions
	id, old, successor string
	now, expires       time.Time
}

func (r *rotation) try(ctx context.Context) (doc sessionDoc, err error) {
	current := bson.D{{Key: "_id", Value: r.id}, {Key: "refresh", Value: r.old}, {Key: "revoked", Value: false}, above("expires", r.now)}
	err = r.s.all.FindOneAndUpdate(ctx, current,
		set(bson.E{Key: "refresh", Value: r.successor}, bson.E{Key: "rotated", Value: r.now}, bson.E{Key: "expires", Value: r.expires}),
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&doc)
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return doc, err
	}
	there, err := r.s.one(ctx, r.id)
	switch {
	case err != nil:
	case there.Revoked:
		err = chat.Errorf(chat.Unauthenticated, "the session was revoked")
	case !there.Expires.After(r.now):
		err = chat.Errorf(chat.Unauthenticated, "the session has expired")
	case there.Refresh == r.successor && r.now.Before(there.Rotated.Add(chat.RefreshGrace)):
		return there, nil
	default:
		err = chat.Errorf(chat.Forbidden, "the refresh token is not the current one")
	}
	return sessionDoc{}, err
}

// Revoke implements [chat.SessionStore]. Errors: NotFound, Unavailable.
func (s *Sessions) Revoke(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(bool) error {
		done, err := s.all.UpdateOne(ctx, bson.D{{Key: "_id", Value: id}}, set(bson.E{Key: "revoked", Value: true}))
		if err == nil && done.MatchedCount == 0 {
			return chat.Errorf(chat.NotFound, "no such session")
		}
		return err
	})
}
