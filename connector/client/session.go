package client

import (
	"context"
	"net/http"
	"sync"
	"time"

	"knatter.dev/chat"
)

// Token is an access token and its expiry. A zero time means that the expiry is
// unknown.
type Token struct {
	Value   string
	Expires time.Time
}

// TokenSource provides access tokens for a [Conn]. A [Session] is one.
type TokenSource interface {
	// Token returns a token that is valid for some time. It differs from used, which
	// has expired, is about to, or was refused; used is "" for the first token. Errors:
	// Unauthenticated if there is no other.
	Token(ctx context.Context, used string) (Token, error)
}

// Static is a TokenSource with one token that is never renewed.
type Static string

var _ TokenSource = Static("")

// Token implements TokenSource.
func (s Static) Token(_ context.Context, used string) (Token, error) {
	if used == string(s) {
		return Token{}, chat.Errorf(chat.Unauthenticated, "the token was refused and there is no other")
	}
	return Token{Value: string(s)}, nil
}

// tokens is the answer to logging in and refreshing.
type tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	ExpiresIn    int    `json:"expiresIn"` // seconds
	User         User   `json:"user"`
}

// Session is a logged-in user. It renews its tokens itself, and is safe for concurrent
// use.
type Session struct {
	User User // as of the log-in

	client *Client

	mu      sync.Mutex
	access  Token
	refresh string
}

var _ TokenSource = (*Session)(nil)

func newSession(c *Client, t tokens) *Session {
	s := &Session{User: t.User, client: c}
	s.set(t)
	return s
}

func (s *Session) set(t tokens) {
	s.access = Token{Value: t.AccessToken, Expires: time.Now().Add(time.Duration(t.ExpiresIn) * time.Second)}
	s.refresh = t.RefreshToken
}

// margin is how long a token must remain valid to be handed out.
const margin = 15 * time.Second

// Token implements [TokenSource]. It refreshes if needed. Errors: Unauthenticated if
// the session is over.
func (s *Session) Token(ctx context.Context, used string) (Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.access.Value != used && time.Until(s.access.Expires) > margin {
		return s.access, nil
	}
	if err := s.refreshLocked(ctx); err != nil {
		return Token{}, err
	}
	return s.access, nil
}

// Refresh gets new tokens now. Errors: Unauthenticated if the session is over.
func (s *Session) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refreshLocked(ctx)
}

func (s *Session) refreshLocked(ctx context.Context) error {
	t, err := s.client.refresh(ctx, s.refresh)
	if err != nil {
		return err
	}
	s.set(t)
	return nil
}

// RefreshToken returns the token with which [Client.Resume] continues this session, for
// programs that end in between.
func (s *Session) RefreshToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refresh
}

// LogOut ends the session: its tokens become invalid and its sockets are closed.
func (s *Session) LogOut(ctx context.Context) error {
	return s.call(ctx, http.MethodDelete, "/v1/sessions", nil, nil)
}

// Me returns the user's current profile.
func (s *Session) Me(ctx context.Context) (User, error) {
	var u User
	err := s.call(ctx, http.MethodGet, "/v1/me", nil, &u)
	return u, err
}

// Rename changes the user's nickname.
func (s *Session) Rename(ctx context.Context, nickname string) error {
	return s.call(ctx, http.MethodPatch, "/v1/me", map[string]string{"nickname": nickname}, nil)
}

// call is Client.call with the session's token.
func (s *Session) call(ctx context.Context, method, path string, in, out any) error {
	token, err := s.Token(ctx, "")
	if err != nil {
		return err
	}
	return s.client.call(ctx, method, path, token.Value, in, out)
}
