package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"knatter.dev/chat"
)

// Of a token that was accepted before nothing is taken for granted but its signature, and
// that only as long as its key is valid.
func TestAKnownTokenIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := newSigner(t), newSigner(t)
		current := jose.JSONWebKeySet{Keys: append(s.KeySet().Keys, other.KeySet().Keys...)}
		store := sessions{byID: map[string]chat.Session{"s1": {ID: "s1", User: "u1"}}}
		v := NewVerifier(func(context.Context, bool) (jose.JSONWebKeySet, error) { return current, nil }, store)
		long := claims()
		long.Expires = time.Now().Add(time.Hour)
		token, err := s.Sign(long)
		if err != nil {
			t.Fatal(err)
		}
		verify := func() error {
			_, err := v.Verify(t.Context(), token)
			return err
		}
		for range 2 {
			if err := verify(); err != nil {
				t.Fatal(err)
			}
		}
		store.byID["s1"] = chat.Session{ID: "s1", User: "u1", Revoked: true}
		wantKind(t, verify(), chat.Unauthenticated)
		store.byID["s1"] = chat.Session{ID: "s1", User: "u1"}
		if err := verify(); err != nil {
			t.Error(err)
		}

		// Another key under the same ID has not made the signature.
		replaced := other.KeySet().Keys[0]
		replaced.KeyID = s.KeySet().Keys[0].KeyID
		current = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{replaced}}
		time.Sleep(freshFor)
		wantKind(t, verify(), chat.Unauthenticated)
		current = other.KeySet()
		time.Sleep(freshFor)
		wantKind(t, verify(), chat.Unauthenticated)
	})
}

func TestProofsAreBounded(t *testing.T) {
	var p proofs
	sum := func(n int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, n)) }
	for n := range 5 * maxProofs {
		p.add(sum(n), new(proof))
		if p.of(sum(0)) == nil {
			t.Fatalf("after %d more the one that is used all the time is forgotten", n)
		}
	}
	if n := len(p.recent) + len(p.older); n > 2*maxProofs {
		t.Errorf("%d are kept", n)
	}
	if p.of(sum(5*maxProofs-maxProofs/2)) == nil || p.of(sum(1)) != nil {
		t.Error("not the last ones are kept")
	}
}

// BenchmarkVerify verifies a token again and again, and ones that are new.
func BenchmarkVerify(b *testing.B) {
	s := newSigner(b)
	v := NewVerifier(s.Keys, nil)
	token, err := s.Sign(claims())
	if err != nil {
		b.Fatal(err)
	}
	for name, forget := range map[string]bool{"known": false, "new": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					v.proofs = proofs{}
				}
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
