package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
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
	maxToken  = 4 << 10 // bytes; ours have about 400
	maxKeySet = 1 << 20 // bytes

	fetchTimeout = 5 * time.Second
	freshFor     = 5 * time.Minute  // after this the keys are fetched again, so that withdrawn ones become invalid
	fetchEvery   = 10 * time.Second // at most, however many unknown key IDs are tried
	retryEvery   = time.Second      // at most, after a failure
)

// KeySource fetches the valid public keys. If latest is true, a cached copy does not
// do.
type KeySource func(ctx context.Context, latest bool) (jose.JSONWebKeySet, error)

// JWKS returns a source that fetches the key set at a URL. If rt is nil, it uses the
// default transport. For the latest keys it sends Cache-Control: no-cache.
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

// Verifier verifies tokens. It caches the keys, and fetches them again when they are
// five minutes old or a token names an unknown one, at most every ten seconds. While
// the source is unavailable, the cached keys remain valid. It is safe for concurrent
// use.
type Verifier struct {
	source   KeySource
	sessions chat.SessionStore
	proofs   proofs

	known    atomic.Pointer[keys]
	fetching chan struct{} // held while fetching; guards next and failed
	next     time.Time     // time of the earliest next fetch
	failed   error         // of the last fetch
}

type keys struct {
	set     jose.JSONWebKeySet
	byID    map[string]ed25519.PublicKey
	fetched time.Time
}

// NewVerifier returns a verifier with keys from source. If sessions is not nil, the
// verifier also refuses the tokens of revoked sessions.
func NewVerifier(source KeySource, sessions chat.SessionStore) *Verifier {
	return &Verifier{source: source, sessions: sessions, fetching: make(chan struct{}, 1)}
}

// Request verifies the token in the request's Authorization header. Errors: as
// [Verifier.Verify].
func (v *Verifier) Request(r *http.Request) (Claims, error) {
	token, ok := Bearer(r.Header.Get("Authorization"))
	if !ok {
		return Claims{}, chat.Errorf(chat.Unauthenticated, "missing access token in the header Authorization: Bearer")
	}
	return v.Verify(r.Context(), token)
}

// Bearer returns the token of an Authorization header, and reports whether the header
// has the scheme Bearer (RFC 9110: a scheme has no case, and one or more spaces follow
// it).
func Bearer(header string) (token string, ok bool) {
	header = strings.TrimSpace(header)
	scheme, token, _ := strings.Cut(header, " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// Verify verifies a token and returns its claims.
//
// Errors: Unauthenticated if the token is invalid, has expired, or its session has been
// revoked; Unavailable if the keys cannot be fetched; those of the session store.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is too long")
	}
	proven, err := v.prove(ctx, token)
	if err != nil {
		return Claims{}, err
	}
	c, err := check(proven.std, proven.own, time.Now())
	if err == nil {
		err = v.CheckSession(ctx, c)
	}
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

// prove checks a token's signature, with the keys as they are now. Errors:
// Unauthenticated, Unavailable.
func (v *Verifier) prove(ctx context.Context, token string) (*proof, error) {
	sum := sha256.Sum256([]byte(token))
	if known := v.proofs.of(sum); known != nil {
		if key, err := v.key(ctx, known.keyID); err != nil || known.by(key) {
			return known, err
		}
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		// Not wrapped: the cause could quote the token.
		return nil, chat.Errorf(chat.Unauthenticated, "the access token is malformed")
	}
	p := &proof{keyID: parsed.Headers[0].KeyID}
	if p.key, err = v.key(ctx, p.keyID); err != nil {
		return nil, err
	}
	if err := parsed.Claims(p.key, &p.std, &p.own); err != nil {
		return nil, chat.Errorf(chat.Unauthenticated, "the access token has no valid signature")
	}
	v.proofs.add(sum, p)
	return p, nil
}

// CheckSession checks that the session of a verified token is still open.
//
// Errors: Unauthenticated if it was revoked; those of the session store.
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

// check checks the claims of a token whose signature is valid. The library's own check
// accepts tokens without an expiry, and tokens in their last second.
func check(std jwt.Claims, own names, now time.Time) (Claims, error) {
	c := Claims{User: chat.UserID(std.Subject), Nickname: own.Nickname, Session: own.Session, Expires: std.Expiry.Time()}
	switch {
	case std.Issuer != Issuer || !std.Audience.Contains(Issuer):
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is for another issuer or audience")
	case std.Expiry == nil || !now.Before(c.Expires):
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token has expired")
	case std.NotBefore != nil && now.Before(std.NotBefore.Time()):
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token is not valid yet")
	case !c.User.Valid() || c.Session == "":
		return Claims{}, chat.Errorf(chat.Unauthenticated, "the access token has no user or no session")
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
		// Cached keys do while another caller fetches.
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
	if fetched && v.failed == nil && known == nil { // the first answer may have been an old copy
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

// Keys returns the verifier's keys, so that others need not ask the source. It returns
// the cached ones if they are fresh or the source is unavailable. latest demands a
// fetch, unless the last one has just happened.
//
// Errors: Unavailable if there are none yet.
func (v *Verifier) Keys(ctx context.Context, latest bool) (jose.JSONWebKeySet, error) {
	if known := v.known.Load(); known != nil && !latest && time.Since(known.fetched) < freshFor {
		return known.set, nil
	}
	select {
	case v.fetching <- struct{}{}:
	default:
		// As for tokens, cached keys do while another caller fetches.
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

// fetch fetches the keys, unless it is too early to do so again. It reports whether it
// tried.
func (v *Verifier) fetch(ctx context.Context, latest bool) bool {
	if time.Now().Before(v.next) {
		return false
	}
	// A caller that gives up must not fail the fetch for all who wait for it.
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
