package auth

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"knatter.dev/chat"
)

const (
	maxToken  = 4 << 10 // bytes; ours have some 400
	maxKeySet = 1 << 20 // bytes

	fetchTimeout = 5 * time.Second
	freshFor     = 5 * time.Minute  // after this the keys are fetched again, so that a withdrawn one ceases to count
	fetchEvery   = 10 * time.Second // at most, however many unknown key IDs are tried
	retryEvery   = time.Second      // at most, after a failure
)

// KeySource fetches the public keys that count now. latest says that a cached copy
// will not do.
type KeySource func(ctx context.Context, latest bool) (jose.JSONWebKeySet, error)

// JWKS is the key set at a URL; rt may be nil for the default transport. The
// request header Cache-Control: no-cache asks for the latest.
func JWKS(url string, rt http.RoundTripper) KeySource {
	client := &http.Client{Transport: rt, Timeout: fetchTimeout}
	return func(ctx context.Context, latest bool) (jose.JSONWebKeySet, error) {
		var set jose.JSONWebKeySet
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return set, err
		}
		if latest {
			r.Header.Set("Cache-Control", "no-cache")
		}
		resp, err := client.Do(r)
		if err != nil {
			return set, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return set, fmt.Errorf("%s answered %d", url, resp.StatusCode)
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxKeySet)).Decode(&set); err != nil {
			return set, fmt.Errorf("%s: %w", url, err)
		}
		return set, nil
	}
}

// Verifier checks tokens. It keeps the keys, and fetches them again when they are
// five minutes old or a token names one that it does not know, at most every ten
// seconds. While the source is away the keys known so far go on counting. It is
// safe for concurrent use.
type Verifier struct {
	source   KeySource
	sessions chat.SessionStore

	known    atomic.Pointer[keys]
	fetching chan struct{} // held by the one who fetches; guards next and failed
	next     time.Time     // no fetch before
	failed   error         // of the last fetch
}

type keys struct {
	set     jose.JSONWebKeySet
	byID    map[string]ed25519.PublicKey
	fetched time.Time
}

// NewVerifier returns a verifier with keys from source. With sessions it also
// refuses the tokens of revoked sessions; nil leaves that to whoever must know.
func NewVerifier(source KeySource, sessions chat.SessionStore) *Verifier {
	return &Verifier{source: source, sessions: sessions, fetching: make(chan struct{}, 1)}
}

// Request checks the token in the request's Authorization header. Errors: as
// [Verifier.Verify].
func (v *Verifier) Request(r *http.Request) (Claims, error) {
	token, ok := Bearer(r.Header.Get("Authorization"))
	if !ok {
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the header Authorization: Bearer with an access token is needed")
	}
	return v.Verify(r.Context(), token)
}

// Bearer is the token of an Authorization header, and whether the header is of the
// scheme Bearer at all (RFC 9110: a scheme has no case, and is followed by one space or
// more).
func Bearer(header string) (token string, ok bool) {
	header = strings.TrimSpace(header)
	scheme, token, _ := strings.Cut(header, " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// Verify checks a token and returns its claims.
//
// Errors: Unauthenticated when the token is not one of ours, has expired or its
// session has been revoked; Unavailable when the keys cannot be had; the session
// store's own.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is too long")
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		// Not wrapped: the cause could quote the token.
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token cannot be read")
	}
	key, err := v.key(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return Claims{}, err
	}
	var std jwt.Claims
	var own names
	if err := parsed.Claims(key, &std, &own); err != nil {
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is not genuine")
	}
	c, err := check(std, own, time.Now())
	if err == nil {
		err = v.CheckSession(ctx, c)
	}
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

// CheckSession reports whether the session of a token that was verified goes on.
//
// Errors: Unauthenticated when it was revoked; the session store's own.
func (v *Verifier) CheckSession(ctx context.Context, c Claims) error {
	if v.sessions == nil {
		return nil
	}
	s, err := v.sessions.Session(ctx, c.Session)
	switch {
	case chat.KindOf(err) == chat.NotFound:
		return chat.Errorf(chat.Unauthenticated, "the access token's session is unknown")
	case err != nil:
		return fmt.Errorf("checking a session: %w", err)
	case s.Revoked || s.User != c.User:
		return chat.Errorf(chat.Unauthenticated, "the access token's session has ended")
	}
	return nil
}

// check is about the claims of a genuine token. The library's own check lets a
// token without an expiry pass, and one in its last second.
func check(std jwt.Claims, own names, now time.Time) (Claims, error) {
	c := Claims{User: chat.UserID(std.Subject), Nickname: own.Nickname, Session: own.Session, Expires: std.Expiry.Time()}
	switch {
	case std.Issuer != Issuer || !std.Audience.Contains(Issuer):
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is for something else")
	case std.Expiry == nil || !now.Before(c.Expires):
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token has expired")
	case std.NotBefore != nil && now.Before(std.NotBefore.Time()):
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is not valid yet")
	case !c.User.Valid() || c.Session == "":
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token names no user or no session")
	}
	return c, nil
}

// key returns the public key with the ID. Errors: Unauthenticated, Unavailable.
func (v *Verifier) key(ctx context.Context, id string) (ed25519.PublicKey, error) {
	known := v.known.Load()
	key, ok := known.key(id)
	if ok && time.Since(known.fetched) < freshFor {
		return key, nil
	}
	if ok {
		// Old, but good enough while somebody else is asking.
		select {
		case v.fetching <- struct{}{}:
		default:
			return key, nil
		}
	} else {
		select {
		case v.fetching <- struct{}{}:
		case <-ctx.Done():
			return nil, chat.Errorf(chat.Unavailable, "waiting for the public keys: %w", ctx.Err())
		}
	}
	defer func() { <-v.fetching }()
	fetched := v.fetch(ctx, known != nil && !ok)
	if key, ok = v.known.Load().key(id); ok {
		return key, nil
	}
	if fetched && v.failed == nil && known == nil { // what came first may be an old copy
		v.next = time.Time{}
		v.fetch(ctx, true)
		if key, ok = v.known.Load().key(id); ok {
			return key, nil
		}
	}
	if v.failed != nil {
		return nil, chat.Errorf(chat.Unavailable, "fetching the public keys: %w", v.failed)
	}
	return nil, chat.Errorf(chat.Unauthenticated, "the access token is signed with an unknown key")
}

// Keys returns the public keys that the verifier goes by, so that others need not
// ask the source. Those known so far, when they are not old or the source is away;
// latest asks for a fetch, unless the last one was just now.
//
// Errors: Unavailable when there are none yet.
func (v *Verifier) Keys(ctx context.Context, latest bool) (jose.JSONWebKeySet, error) {
	if known := v.known.Load(); known != nil && !latest && time.Since(known.fetched) < freshFor {
		return known.set, nil
	}
	select {
	case v.fetching <- struct{}{}:
	default:
		// As for tokens: old ones are good enough while somebody else is asking.
		if known := v.known.Load(); known != nil && !latest {
			return known.set, nil
		}
		select {
		case v.fetching <- struct{}{}:
		case <-ctx.Done():
			return jose.JSONWebKeySet{}, chat.Errorf(chat.Unavailable, "waiting for the public keys: %w", ctx.Err())
		}
	}
	defer func() { <-v.fetching }()
	v.fetch(ctx, latest)
	if known := v.known.Load(); known != nil {
		return known.set, nil
	}
	return jose.JSONWebKeySet{}, chat.Errorf(chat.Unavailable, "fetching the public keys: %w", v.failed)
}

// fetch fetches the keys unless it is too early to do so again, and reports whether
// it tried.
func (v *Verifier) fetch(ctx context.Context, latest bool) bool {
	if time.Now().Before(v.next) {
		return false
	}
	// One who gives up must not make the fetch fail for all who wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	set, err := v.source(ctx, latest)
	now := time.Now()
	v.failed = err
	if err != nil {
		v.next = now.Add(retryEvery)
		return true
	}
	v.next = now.Add(fetchEvery)
	fetched := &keys{set: set, byID: make(map[string]ed25519.PublicKey), fetched: now}
	for _, k := range set.Keys {
		if public, ok := k.Key.(ed25519.PublicKey); ok && k.KeyID != "" {
			fetched.byID[k.KeyID] = public
		}
	}
	v.known.Store(fetched)
	return true
}

func (k *keys) key(id string) (ed25519.PublicKey, bool) {
	if k == nil {
		return nil, false
	}
	key, ok := k.byID[id]
	return key, ok
}
