package pebble

import (
	"context"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/names"
)

// Accounts is the account store.
type Accounts struct {
	s  *Store
	mu sync.Mutex // whether an address is taken is read, then written
}

var _ chat.AccountStore = (*Accounts)(nil)

// emailKeys are the rows that an address may be under: first the one of accounts
// that are older than [names.EmailKey], then the one that new accounts get.
func emailKeys(email string) (keys [][]byte) {
	for _, key := range []string{names.EmailKeyBefore(email), names.EmailKey(email)} {
		if key != "" {
			keys = append(keys, nameKey(kindEmail, key))
		}
	}
	return keys
}

// Create implements [chat.AccountStore]. An account without an address can only
// be found by its ID. Errors: Conflict, Invalid for an ID that is none,
// Unavailable.
func (a *Accounts) Create(ctx context.Context, account chat.Account) error {
	if !account.ID.Valid() {
		return chat.Errorf(chat.Invalid, "not a user's id")
	}
	if err := a.s.enter(ctx); err != nil {
		return err
	}
	defer a.s.leave()
	a.mu.Lock()
	defer a.mu.Unlock()
	row, emails := nameKey(kindAccount, account.ID), emailKeys(account.Email)
	for _, key := range append([][]byte{row}, emails...) {
		_, taken, err := a.s.get(key)
		if err != nil {
			return err
		}
		if taken {
			return chat.Errorf(chat.Conflict, "the account exists")
		}
	}
	b := a.s.db.NewBatch()
	if err := setJSON(b, row, &account); err != nil {
		return errors.Join(err, b.Close())
	}
	if key := names.EmailKey(account.Email); key != "" {
		_ = b.Set(nameKey(kindEmail, key), []byte(account.ID), nil)
	}
	return a.s.keep(b)
}

// Account implements [chat.AccountStore]. Errors: NotFound, Unavailable.
func (a *Accounts) Account(ctx context.Context, user chat.UserID) (chat.Account, error) {
	if err := a.s.enter(ctx); err != nil {
		return chat.Account{}, err
	}
	defer a.s.leave()
	return a.account(user)
}

func (a *Accounts) account(user chat.UserID) (chat.Account, error) {
	var account chat.Account
	ok, err := getJSON(a.s.db, nameKey(kindAccount, user), &account)
	if err == nil && !ok {
		err = chat.Errorf(chat.NotFound, "no such account")
	}
	return account, err
}

// ByEmail implements [chat.AccountStore]. Errors: NotFound, Unavailable.
func (a *Accounts) ByEmail(ctx context.Context, email string) (chat.Account, error) {
	if err := a.s.enter(ctx); err != nil {
		return chat.Account{}, err
	}
	defer a.s.leave()
	for _, key := range emailKeys(email) {
		user, ok, err := a.s.get(key)
		if err != nil {
			return chat.Account{}, err
		}
		if ok {
			return a.account(chat.UserID(user))
		}
	}
	return chat.Account{}, chat.Errorf(chat.NotFound, "no such account")
}

// SetNickname implements [chat.AccountStore]. Errors: NotFound, Unavailable.
func (a *Accounts) SetNickname(ctx context.Context, user chat.UserID, nickname string) error {
	if err := a.s.enter(ctx); err != nil {
		return err
	}
	defer a.s.leave()
	a.mu.Lock()
	defer a.mu.Unlock()
	account, err := a.account(user)
	if err != nil {
		return err
	}
	account.Nickname = nickname
	b := a.s.db.NewBatch()
	if err := setJSON(b, nameKey(kindAccount, user), &account); err != nil {
		return errors.Join(err, b.Close())
	}
	return a.s.keep(b)
}

// Befriend implements [chat.AccountStore]. Errors: Invalid for IDs that are none,
// Unavailable.
func (a *Accounts) Befriend(ctx context.Context, user, friend chat.UserID) error {
	return a.friend(ctx, user, friend, func(b *pebble.Batch, key []byte) error { return b.Set(key, nil, nil) })
}

// Unfriend implements [chat.AccountStore]. Errors: as Befriend.
func (a *Accounts) Unfriend(ctx context.Context, user, friend chat.UserID) error {
	return a.friend(ctx, user, friend, func(b *pebble.Batch, key []byte) error { return b.Delete(key, nil) })
}

func (a *Accounts) friend(ctx context.Context, user, friend chat.UserID, change func(*pebble.Batch, []byte) error) error {
	if !user.Valid() || !friend.Valid() {
		return chat.Errorf(chat.Invalid, "not a user's id")
	}
	if err := a.s.enter(ctx); err != nil {
		return err
	}
	defer a.s.leave()
	b := a.s.db.NewBatch()
	_ = change(b, pairKey(kindFriend, user, friend))
	return a.s.keep(b)
}

// Friends implements [chat.AccountStore]. Errors: Unavailable.
func (a *Accounts) Friends(ctx context.Context, user chat.UserID) (friends []chat.UserID, err error) {
	if !user.Valid() {
		return nil, nil
	}
	if err := a.s.enter(ctx); err != nil {
		return nil, err
	}
	defer a.s.leave()
	prefix := appendName(nil, kindFriend, user)
	it, err := a.s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		friends = append(friends, chat.UserID(it.Key()[len(prefix):]))
	}
	return friends, nil
}
