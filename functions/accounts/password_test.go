package accounts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"knatter.dev/chat"
)

func TestPassword(t *testing.T) {
	h := newHasher()
	hash, err := h.hash(t.Context(), "비밀번호 1234")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", hash)
	}
	again, err := h.hash(t.Context(), "비밀번호 1234")
	if err != nil || again == hash {
		t.Error("two hashes without a salt between them")
	}
	for password, want := range map[string]bool{
		"비밀번호 1234": true,
		"\u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169 1234": true, // as another keyboard types it
		"비밀번호 1235": false,
		"":          false,
	} {
		if got, err := h.verify(t.Context(), hash, password); err != nil || got != want {
			t.Errorf("verify(%q) = %v, %v", password, got, err)
		}
	}
}

func TestVerifyTakesTheCostFromTheHash(t *testing.T) {
	c := cost{memory: 64, passes: 1, threads: 2}
	salt := []byte("saltsaltsalt")
	phc := c.encode(salt, c.derive("password", salt, 24))
	if ok, err := newHasher().verify(t.Context(), phc, "password"); err != nil || !ok {
		t.Errorf("verify = %v, %v", ok, err)
	}
}

func TestVerifyRefusesDamagedHashes(t *testing.T) {
	good := current.encode(make([]byte, 16), make([]byte, 32))
	for name, phc := range map[string]string{
		"empty":      "",
		"other":      "$2a$10$abcdefghijklmnopqrstuv",
		"version":    strings.Replace(good, "v=19", "v=16", 1),
		"memory":     strings.Replace(good, "m=19456", "m=4294967295", 1),
		"passes":     strings.Replace(good, "t=2", "t=0", 1),
		"threads":    strings.Replace(good, "p=1", "p=0", 1),
		"no hash":    good[:strings.LastIndex(good, "$")],
		"empty hash": good[:strings.LastIndex(good, "$")+1],
		"not base64": good + "!",
	} {
		if ok, err := newHasher().verify(t.Context(), phc, "password"); err == nil || ok {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		for range cap(h.slots) {
			h.slots <- struct{}{}
		}
		_, err := h.hash(t.Context(), password) // gives up by itself
		if chat.KindOf(err) != chat.Unavailable {
			t.Errorf("all slots taken: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.verify(ctx, decoy, password); !errors.Is(err, context.Canceled) || chat.KindOf(err) != chat.Unavailable {
			t.Errorf("the caller gave up: %v", err)
		}
	})
}
