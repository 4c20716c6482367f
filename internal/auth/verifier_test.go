package auth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"knatter.dev/chat"
)

func newSigner(t testing.TB) *Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewSigner(private)
}

func claims() Claims {
	return Claims{User: "u1", Nickname: "민지", Session: "s1", Expires: time.Now().Add(15 * time.Minute).Truncate(time.Second)}
}

func (s *Signer) sign(t testing.TB, payload map[string]any) string {
	t.Helper()
	token, err := jwt.Signed(s.signer).Claims(payload).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func wantKind(t testing.TB, err error, kind chat.Kind) {
	t.Helper()
	if err == nil || chat.KindOf(err) != kind {
		t.Errorf("error %v, want one of kind %d", err, kind)
	}
}

// sessions answers for the one method that verifiers use.
type sessions struct {
	chat.SessionStore
	byID map[string]chat.Session
	err  error
}

func (s sessions) Session(_ context.Context, id string) (chat.Session, error) {
	if s.err != nil {
		return chat.Session{}, s.err
	}
	if s, ok := s.byID[id]; ok {
		return s, nil
	}
	return chat.Session{}, chat.Errorf(chat.NotFound, "no such session")
}

func TestVerifyReturnsWhatWasSigned(t *testing.T) {
	s := newSigner(t)
	want := claims()
	token, err := s.Sign(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := NewVerifier(s.Keys, nil).Verify(t.Context(), token)
	if err != nil || got.User != want.User || got.Nickname != want.Nickname || got.Session != want.Session || !got.Expires.Equal(want.Expires) {
		t.Errorf("Verify = %+v, %v; want %+v", got, err, want)
	}
	if header := decodeHeader(t, token); header["alg"] != "EdDSA" || header["kid"] != s.KeySet().Keys[0].KeyID {
		t.Errorf("header = %v", header)
	}
	if !s.KeySet().Keys[0].IsPublic() {
		t.Error("the published key is not public")
	}
}

func decodeHeader(t *testing.T, token string) (header map[string]any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &header); err != nil {
		t.Fatal(err)
	}
	return header
}

func TestVerifyRefuses(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	public := s.KeySet().Keys[0]
	genuine, err := s.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(genuine, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	encode := base64.RawURLEncoding.EncodeToString

	base := func(change func(map[string]any)) string {
		p := map[string]any{
			"iss": Issuer, "aud": Issuer, "sub": "u1", "sid": "s1", "name": "n",
			"exp": time.Now().Add(time.Minute).Unix(),
		}
		change(p)
		return s.sign(t, p)
	}
	// The classic confusion: an HMAC keyed with what everybody knows.
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{
		Key: []byte(public.Key.(ed25519.PublicKey)), KeyID: public.KeyID,
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	confused, err := jwt.Signed(hmac).Claims(map[string]any{"iss": Issuer, "aud": Issuer, "sub": "u1", "sid": "s1", "exp": time.Now().Add(time.Minute).Unix()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else's key under our key's ID.
	imposter := other.private
	imposter.KeyID = public.KeyID
	forger, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: imposter}, nil)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := (&Signer{private: imposter, signer: forger}).Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	anonymous, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: s.private.Key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	withoutID, err := (&Signer{signer: anonymous}).Sign(claims())
	if err != nil {
		t.Fatal(err)
	}

	v := NewVerifier(s.Keys, nil)
	for name, token := range map[string]string{
		"empty":              "",
		"garbage":            "a.b.c",
		"too long":           genuine + strings.Repeat("A", maxToken),
		"alg none":           encode([]byte(`{"alg":"none","kid":"`+public.KeyID+`"}`)) + "." + payload + ".",
		"alg none, signed":   encode([]byte(`{"alg":"none","kid":"`+public.KeyID+`"}`)) + "." + payload + "." + signature,
		"HS256 confusion":    confused,
		"no signature":       head + "." + payload + ".",
		"changed payload":    head + "." + encode([]byte(`{"iss":"knatter","aud":"knatter","sub":"u2","sid":"s1","exp":99999999999}`)) + "." + signature,
		"forged kid":         forged,
		"unknown kid":        foreign,
		"no kid":             withoutID,
		"other issuer":       base(func(p map[string]any) { p["iss"] = "else" }),
		"other audience":     base(func(p map[string]any) { p["aud"] = []string{"else"} }),
		"no expiry":          base(func(p map[string]any) { delete(p, "exp") }),
		"expired":            base(func(p map[string]any) { p["exp"] = time.Now().Unix() - 1 }),
		"not yet":            base(func(p map[string]any) { p["nbf"] = time.Now().Unix() + 60 }),
		"no user":            base(func(p map[string]any) { delete(p, "sub") }),
		"not a user's ID":    base(func(p map[string]any) { p["sub"] = "@u1" }),
		"no session":         base(func(p map[string]any) { delete(p, "sid") }),
		"claims of bad type": base(func(p map[string]any) { p["exp"] = "soon" }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), token)
			wantKind(t, err, chat.Unauthenticated)
		})
	}
	if _, err := v.Verify(t.Context(), base(func(map[string]any) {})); err != nil {
		t.Errorf("the base of the cases is refused too: %v", err)
	}
}

func TestVerifyExpiresToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		v := NewVerifier(s.Keys, nil)
		token, err := s.Sign(Claims{User: "u1", Session: "s1", Expires: time.Now().Add(15 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15*time.Minute - time.Millisecond)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("a moment before its expiry: %v", err)
		}
		time.Sleep(time.Millisecond)
		_, err = v.Verify(t.Context(), token)
		wantKind(t, err, chat.Unauthenticated)
	})
}

func TestVerifyChecksTheSession(t *testing.T) {
	s := newSigner(t)
	token, err := s.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(store sessions) error {
		_, err := NewVerifier(s.Keys, store).Verify(t.Context(), token)
		return err
	}
	if err := verify(sessions{byID: map[string]chat.Session{"s1": {ID: "s1", User: "u1"}}}); err != nil {
		t.Error(err)
	}
	wantKind(t, verify(sessions{}), chat.Unauthenticated)
	wantKind(t, verify(sessions{byID: map[string]chat.Session{"s1": {ID: "s1", User: "u1", Revoked: true}}}), chat.Unauthenticated)
	wantKind(t, verify(sessions{byID: map[string]chat.Session{"s1": {ID: "s1", User: "u2"}}}), chat.Unauthenticated)
	wantKind(t, verify(sessions{err: chat.Errorf(chat.Unavailable, "away")}), chat.Unavailable)
}

func TestVerifyFollowsKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, unknown := newSigner(t), newSigner(t), newSigner(t)
		current, fetches := first.KeySet(), 0
		v := NewVerifier(func(context.Context, bool) (jose.JSONWebKeySet, error) {
			fetches++
			return current, nil
		}, nil)
		verify := func(s *Signer) error {
			t.Helper()
			token, err := s.Sign(claims())
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), token)
			return err
		}
		if err := verify(first); err != nil {
			t.Fatal(err)
		}
		current = jose.JSONWebKeySet{Keys: append(first.KeySet().Keys, second.KeySet().Keys...)}
		time.Sleep(fetchEvery)
		if err := verify(second); err != nil {
			t.Errorf("after a rotation: %v", err)
		}
		if err := verify(first); err != nil {
			t.Errorf("the former key is still published: %v", err)
		}
		for range 100 {
			wantKind(t, verify(unknown), chat.Unauthenticated)
		}
		if fetches != 2 {
			t.Errorf("%d fetches, want 2: unknown keys must not cause a flood", fetches)
		}
		current = second.KeySet()
		time.Sleep(freshFor)
		wantKind(t, verify(first), chat.Unauthenticated)
		if err := verify(second); err != nil {
			t.Error(err)
		}
	})
}

func TestVerifyWithoutKeysIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		var away error
		fetches := 0
		v := NewVerifier(func(context.Context, bool) (jose.JSONWebKeySet, error) {
			fetches++
			return s.KeySet(), away
		}, nil)
		verify := func() error {
			t.Helper()
			token, err := s.Sign(claims())
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), token)
			return err
		}
		away = errors.New("connection refused")
		for range 10 {
			wantKind(t, verify(), chat.Unavailable)
		}
		if fetches != 1 {
			t.Errorf("%d fetches, want 1", fetches)
		}
		away = nil
		time.Sleep(retryEvery)
		if err := verify(); err != nil {
			t.Errorf("after the source came back: %v", err)
		}
		away = errors.New("connection refused")
		time.Sleep(time.Hour)
		if err := verify(); err != nil {
			t.Errorf("a known key while the source is away: %v", err)
		}
	})
}

func TestJWKS(t *testing.T) {
	s := newSigner(t)
	status, asked := http.StatusOK, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Cache-Control")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(s.KeySet())
	}))
	defer server.Close()
	token, err := s.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewVerifier(JWKS(server.URL, nil), nil).Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	status = http.StatusNotFound
	_, err = NewVerifier(JWKS(server.URL, nil), nil).Verify(t.Context(), token)
	wantKind(t, err, chat.Unavailable)

	status = http.StatusOK
	for _, latest := range []bool{false, true} {
		if _, err := JWKS(server.URL, nil)(t.Context(), latest); err != nil || asked != map[bool]string{true: "no-cache"}[latest] {
			t.Errorf("latest %t: Cache-Control %q, error %v", latest, asked, err)
		}
	}
}

// A verifier hands its keys on, as the connector does: whoever starts while the
// source is away gets them, and a rotation goes through.
func TestKeysAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newSigner(t), newSigner(t)
		current, fetches := first.KeySet(), 0
		var away error
		front := NewVerifier(func(context.Context, bool) (jose.JSONWebKeySet, error) {
			fetches++
			return current, away
		}, nil)
		verify := func(v *Verifier, s *Signer) error {
			t.Helper()
			token, err := s.Sign(claims())
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), token)
			return err
		}
		away = errors.New("connection refused")
		_, err := front.Keys(t.Context(), false)
		wantKind(t, err, chat.Unavailable)
		away = nil
		time.Sleep(retryEvery)
		if err := verify(NewVerifier(front.Keys, nil), first); err != nil {
			t.Error(err)
		}
		if err := verify(NewVerifier(front.Keys, nil), first); err != nil {
			t.Error(err)
		}
		if fetches != 2 {
			t.Errorf("%d fetches, want 2: the failed one and one for all", fetches)
		}
		time.Sleep(fetchEvery)
		current = jose.JSONWebKeySet{Keys: append(first.KeySet().Keys, second.KeySet().Keys...)}
		if err := verify(NewVerifier(front.Keys, nil), second); err != nil {
			t.Errorf("after a rotation: %v", err)
		}
		away = errors.New("connection refused")
		time.Sleep(time.Hour)
		if err := verify(NewVerifier(front.Keys, nil), first); err != nil {
			t.Errorf("while the source is away: %v", err)
		}
	})
}

func TestRequest(t *testing.T) {
	s := newSigner(t)
	v := NewVerifier(s.Keys, nil)
	token, err := s.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	for header, ok := range map[string]bool{
		"Bearer " + token:  true,
		"bearer " + token:  true,
		"":                 false,
		token:              false,
		"Basic dTpw":       false,
		"Bearer":           false,
		"Bearer x" + token: false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/me", nil)
		r.Header.Set("Authorization", header)
		_, err := v.Request(r)
		if ok && err != nil {
			t.Error(err)
		}
		if !ok {
			wantKind(t, err, chat.Unauthenticated)
		}
	}
}
