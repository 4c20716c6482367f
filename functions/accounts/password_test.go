package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/unicode/norm"

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
		h.turn <- struct{}{}
		_, err := h.hash(t.Context(), password) // gives up by itself
		if chat.KindOf(err) != chat.Unavailable {
			t.Errorf("somebody hashes on and on: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.verify(ctx, decoy, password); !errors.Is(err, context.Canceled) || chat.KindOf(err) != chat.Unavailable {
			t.Errorf("the caller gave up: %v", err)
		}
	})
}

// Of a crowd as many wait as the queue takes; the others are told so at once.
func TestHashingHasAShortQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		const crowd = 200
		var running, most, done, refused atomic.Int32
		var wg sync.WaitGroup
		for range crowd {
			wg.Go(func() {
				err := h.do(t.Context(), func() {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(20 * time.Millisecond)
					running.Add(-1)
				})
				if err == nil {
					done.Add(1)
				} else if chat.KindOf(err) == chat.Unavailable {
					refused.Add(1)
				}
			})
		}
		begin := time.Now()
		synctest.Wait()
		if refused.Load() != crowd-hashQueue-1 {
			t.Errorf("%d are refused at once", refused.Load())
		}
		wg.Wait()
		if most.Load() != 1 || done.Load() != hashQueue+1 {
			t.Errorf("%d at a time, %d done", most.Load(), done.Load())
		}
		// Twice as much rest as work, so that it is not all of a processor.
		if d := time.Since(begin); d < 3*hashQueue*20*time.Millisecond || d > 4*hashQueue*20*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		time.Sleep(time.Second)
		if len(h.turn)+len(h.queue) != 0 {
			t.Error("somebody still has the turn")
		}
	})
}

func TestCleanPassword(t *testing.T) {
	long := strings.Repeat("가나다라마바사아자차", 100)
	for name, c := range map[string]struct {
		password string
		ok       bool
	}{
		"eight":                       {"qx7 mnop", true},
		"seven":                       {"qx7 mno", false},
		"eight in Korean":             {"나의 비밀번호는", true},
		"a thousand":                  {long, true},
		"a thousand and one":          {long + "가", false},
		"a thousand as jamo":          {norm.NFD.String(long), true},
		"eight that are four":         {"ｶﾞｷﾞｸﾞｹﾞ", false},
		"none":                        {"", false},
		"spaces":                      {"            ", false},
		"spaces of many kinds":        {"\u00a0\u2003\u3000	 \u2009\u2002\u1680 ", false},
		"what is not seen":            {"\u200b\u200c\u200d\u2060\ufeff\u3164\u115f\u2800\u00ad", false},
		"common":                      {"password", false},
		"common, spelt otherwise":     {"PassWord1", false},
		"common, in full width":       {"ｐａｓｓｗｏｒｄ", false},
		"common, with spaces about":   {"  password123  ", false},
		"common on a keyboard":        {"1q2w3e4r5t", false},
		"one character over and over": {"ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ", false},
		"a phrase":                    {"correct horse battery staple", true},
		"common among others":         {"password of mine", true},
		"bytes without end":           {strings.Repeat("ﷺ", 100_000), false},
	} {
		if _, err := clean(c.password); (err == nil) != c.ok || err != nil && chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.IsSorted(commonPasswords()) || len(commonPasswords()) < 5000 {
		t.Errorf("%d passwords, sorted: %v", len(commonPasswords()), slices.IsSorted(commonPasswords()))
	}
}

// A password that was hashed before compatible characters were one is still good.
func TestVerifyTakesWhatWasHashedOnce(t *testing.T) {
	const typed = "ｐａｓｓ phrase ①"
	salt := randomBytes(saltBytes)
	old := current.encode(salt, current.derive(typed, salt, hashBytes))
	if ok, err := newHasher().verify(t.Context(), old, typed); err != nil || !ok {
		t.Errorf("verify = %v, %v", ok, err)
	}
	hash, err := newHasher().hash(t.Context(), typed)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := newHasher().verify(t.Context(), hash, "pass phrase 1"); err != nil || !ok {
		t.Errorf("typed otherwise: %v, %v", ok, err)
	}
}
