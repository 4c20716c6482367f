package pebble

import (
	"context"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"knatter.dev/chat"
)

// Sessions is the session store.
type Sessions struct {
	s  *Store
	mu sync.Mutex // the refresh hash is compared, then replaced
}

var _ chat.SessionStore = (*Sessions)(nil)

// Open implements [chat.SessionStore]. Errors: Conflict when the ID is taken,
// Unavailable.
func (s *Sessions) Open(ctx context.Context, session chat.Session) error {
	if err := s.s.enter(ctx); err != nil {
		return err
	}
	defer s.s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken, err := s.s.get(nameKey(kindSession, session.ID))
	if err != nil {
		return err
	}
	if taken {
		return chat.Errorf(chat.Conflict, "the session exists")
	}
	return s.set(&session)
}

func (s *Sessions) set(session *chat.Session) error {
	b := s.s.db.NewBatch()
	if err := setJSON(b, nameKey(kindSession, session.ID), session); err != nil {
		return errors.Join(err, b.Close())
	}
	return s.s.keep(b)
}

// Session implements [chat.SessionStore]. Errors: NotFound, Unavailable.
func (s *Sessions) Session(ctx context.Context, id string) (chat.Session, error) {
	if err := s.s.enter(ctx); err != nil {
		return chat.Session{}, err
	}
	defer s.s.leave()
	return s.session(id)
}

func (s *Sessions) session(id string) (chat.Session, error) {
	var session chat.Session
	ok, err := getJSON(s.s.db, nameKey(kindSession, id), &session)
	if err == nil && !ok {
		err = chat.Errorf(chat.NotFound, "no such session")
	}
	return session, err
}

// Rotate implements [chat.SessionStore]. Errors: Forbidden, Unauthenticated,
// NotFound, Unavailable.
func (s *Sessions) Rotate(ctx context.Context, id, old, successor string, now, expires time.Time) (chat.Session, error) {
	if err := s.s.enter(ctx); err != nil {
		return chat.Session{}, err
	}
	defer s.s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	session, err := s.session(id)
	switch {
	case err != nil:
		return chat.Session{}, err
	case session.Revoked:
		return chat.Session{}, chat.Errorf(chat.Unauthenticated, "the session was revoked")
	case !session.Expires.After(now):
		return chat.Session{}, chat.Errorf(chat.Unauthenticated, "the session has expired")
	case same(session.Refresh, successor) && now.Before(session.Rotated.Add(chat.RefreshGrace)):
		return session, nil
	case !same(session.Refresh, old):
		return chat.Session{}, chat.Errorf(chat.Forbidden, "the refresh token is not the current one")
	}
	session.Refresh, session.Rotated, session.Expires = successor, now, expires
	if err := s.set(&session); err != nil {
		return chat.Session{}, err
	}
	return session, nil
}

// same compares two hashes in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Revoke implements [chat.SessionStore]. Errors: NotFound, Unavailable.
func (s *Sessions) Revoke(ctx context.Context, id string) error {
	if err := s.s.enter(ctx); err != nil {
		return err
	}
	defer s.s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	session, err := s.session(id)
	if err != nil || session.Revoked {
		return err
	}
	session.Revoked = true
	return s.set(&session)
}
