package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/names"
)

// Accounts is the account store.
type Accounts struct {
	all     *mongo.Collection
	exact   *mongo.Collection
	friends *mongo.Collection
}

var _ chat.AccountStore = (*Accounts)(nil)

type accountDoc struct {
	ID           chat.UserID `bson:"_id"`
	Address      string      `bson:"address"` // unique
	Email        string      `bson:"email"`
	Nickname     string      `bson:"nickname"`
	PasswordHash string      `bson:"passwordHash"`
	Created      time.Time   `bson:"created"`
}

// addressed is the condition that an account has an address: the one of accounts that
// are older than [names.EmailKey], or the one that new accounts get.
func addressed(email string) bson.E {
	before, key := names.EmailKeyBefore(email), names.EmailKey(email)
	if before == key {
		return among("address", bson.A{key})
	}
	return among("address", bson.A{before, key})
}

// Create implements [chat.AccountStore]. Errors: Conflict, Invalid for an ID that is none, Unavailable,
// after which the account may be there.
func (a *Accounts) Create(ctx context.Context, account chat.Account) error {
	if !account.ID.Valid() {
		return chat.Errorf(chat.Invalid, "not a user's id")
	}
	doc := accountDoc{
		ID: account.ID, Address: names.EmailKey(account.Email), Email: account.Email,
		Nickname: account.Nickname, PasswordHash: account.PasswordHash, Created: millis(account.Created),
	}
	if doc.Address == "" {
		doc.Address = "\n" + string(doc.ID) // no address, and no other account's
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if before := names.EmailKeyBefore(account.Email); before != names.EmailKey(account.Email) {
		// No new account gets an address of that kind, so nobody comes in between.
		_, err := a.one(ctx, bson.D{{Key: "address", Value: before}})
		if err == nil {
			return chat.Errorf(chat.Conflict, "the account exists")
		}
		if chat.KindOf(err) != chat.NotFound {
			return err
		}
	}
	return again(ctx, func(maybe bool) error {
		taken, err := insertNew(ctx, a.all, []any{doc})
		if err != nil || len(taken) == 0 {
			return err
		}
		if maybe { // it may be ours that is there
			if there, err := a.one(ctx, bson.D{{Key: "_id", Value: doc.ID}}); err == nil && there == doc {
				return nil
			}
		}
		return chat.Errorf(chat.Conflict, "the account exists")
	})
}

// Account implements [chat.AccountStore]. Errors: NotFound, Unavailable.
func (a *Accounts) Account(ctx context.Context, user chat.UserID) (chat.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doc, err := a.one(ctx, bson.D{{Key: "_id", Value: user}})
	if err != nil {
		return chat.Account{}, err
	}
	return doc.account(), nil
}

// ByEmail implements [chat.AccountStore]. Errors: NotFound, Unavailable.
func (a *Accounts) ByEmail(ctx context.Context, email string) (chat.Account, error) {
	if names.EmailKey(email) == "" {
		return chat.Account{}, chat.Errorf(chat.NotFound, "no such account")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := find[accountDoc](ctx, a.exact, bson.D{addressed(email)}, limited(2))
	if err != nil {
		return chat.Account{}, err
	}
	if len(found) == 0 {
		return chat.Account{}, chat.Errorf(chat.NotFound, "no such account")
	}
	// Of two from before that have one address in two spellings each is found under
	// its own.
	if len(found) == 2 && found[1].Address == names.EmailKeyBefore(email) {
		return found[1].account(), nil
	}
	return found[0].account(), nil
}

func (d *accountDoc) account() chat.Account {
	return chat.Account{ID: d.ID, Email: d.Email, Nickname: d.Nickname, PasswordHash: d.PasswordHash, Created: d.Created}
}

func (a *Accounts) one(ctx context.Context, filter bson.D) (accountDoc, error) {
	found, err := find[accountDoc](ctx, a.exact, filter, limited(1))
	if err != nil {
		return accountDoc{}, err
	}
	if len(found) == 0 {
		return accountDoc{}, chat.Errorf(chat.NotFound, "no such account")
	}
	return found[0], nil
}

// SetNickname implements [chat.AccountStore]. Errors: NotFound, Unavailable.
func (a *Accounts) SetNickname(ctx context.Context, user chat.UserID, nickname string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(bool) error {
		done, err := a.all.UpdateOne(ctx, bson.D{{Key: "_id", Value: user}}, set(bson.E{Key: "nickname", Value: nickname}))
		if err == nil && done.MatchedCount == 0 {
			return chat.Errorf(chat.NotFound, "no such account")
		}
		return err
	})
}

func set(fields ...bson.E) bson.D { return bson.D{{Key: "$set", Value: bson.D(fields)}} }

type friendDoc struct {
	ID     string      `bson:"_id"`
	User   chat.UserID `bson:"user"`
	Friend chat.UserID `bson:"friend"`
}

func newFriend(user, friend chat.UserID) (*friendDoc, error) {
	if !user.Valid() || !friend.Valid() {
		return nil, chat.Errorf(chat.Invalid, "not a user's id")
	}
	return &friendDoc{ID: string(user) + " " + string(friend), User: user, Friend: friend}, nil
}

// Befriend implements [chat.AccountStore]. Errors: Invalid for IDs that are none,
// Unavailable.
func (a *Accounts) Befriend(ctx context.Context, user, friend chat.UserID) error {
	doc, err := newFriend(user, friend)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(bool) error {
		_, err := insertNew(ctx, a.friends, []any{doc})
		return err
	})
}

// Unfriend implements [chat.AccountStore]. Errors: as Befriend.
func (a *Accounts) Unfriend(ctx context.Context, user, friend chat.UserID) error {
	doc, err := newFriend(user, friend)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return again(ctx, func(bool) error {
		_, err := a.friends.DeleteOne(ctx, bson.D{{Key: "_id", Value: doc.ID}, {Key: "user", Value: user}})
		return err
	})
}

// Friends implements [chat.AccountStore]. Errors: Unavailable.
func (a *Accounts) Friends(ctx context.Context, user chat.UserID) (friends []chat.UserID, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[friendDoc](ctx, a.friends, bson.D{{Key: "user", Value: user}}, options.Find().SetSort(ascending("friend")))
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		friends = append(friends, d.Friend)
	}
	return friends, nil
}
