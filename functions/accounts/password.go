package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

// A password's length, in code points. There are no rules about what must be in
// it, but that it is not one of the usual ones (NIST SP 800-63B).
const (
	minPassword = 8
	maxPassword = 1000

	maxPasswordBytes = 32 << 10 // as it comes: looked at no further
)

// cost is how much work a hash is: OWASP's parameters for argon2id.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

var current = cost{memory: 19 << 10, passes: 2, threads: 1}

// greatest bounds what a stored hash may ask for, so that a corrupt one cannot
// take the process's memory.
var greatest = cost{memory: 256 << 10, passes: 16, threads: 8}

const (
	saltBytes = 16
	hashBytes = 32

	// hashQueue is how many requests wait for their turn at hashing, each about
	// 20 ms, and hashWait how long one does. What is over that comes again.
	hashQueue = 64
	hashWait  = 10 * time.Second
)

// decoy is the hash that a login with an unknown address is verified against, so
// that it takes as long as one with a wrong password. It is of no password: its
// hash is random.
var decoy = current.encode(randomBytes(saltBytes), randomBytes(hashBytes))

// hasher hashes passwords, one at a time, so that however many people sign up or
// log in at once, it takes one processor's work and 19 MiB. After each it rests for
// twice as long as it took when others wait: hashing is all processor time, and nobody's
// messages should wait behind a crowd at the door.
type hasher struct {
	turn  chan struct{} // held by the one who hashes
	queue chan struct{} // held by those who wait or hash
}

func newHasher() hasher {
	return hasher{turn: make(chan struct{}, 1), queue: make(chan struct{}, hashQueue+1)}
}

// do calls hash when it is its turn. Errors: Unavailable when too many wait, or it
// would have to wait too long.
func (h hasher) do(ctx context.Context, hash func()) error {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return chat.Errorf(chat.Unavailable, "%d passwords wait to be hashed", hashQueue)
	}
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "waiting to hash a password: %w", ctx.Err())
	}
	begin := time.Now()
	hash()
	if len(h.queue) == 1 {
		<-h.turn
		return nil
	}
	time.AfterFunc(2*time.Since(begin), func() { <-h.turn })
	return nil
}

// busy tells a client that could not be waited for when to come again: when those
// before it will be done.
func busy(w http.ResponseWriter, err error) error {
	if chat.KindOf(err) == chat.Unavailable {
		w.Header().Set("Retry-After", "4")
	}
	return err
}

// hash returns the PHC string of a password. Errors: Invalid for a password that is
// too short, too long or too common; Unavailable as do.
func (h hasher) hash(ctx context.Context, password string) (phc string, err error) {
	if password, err = clean(password); err != nil {
		return "", err
	}
	salt := randomBytes(saltBytes)
	err = h.do(ctx, func() { phc = current.encode(salt, current.derive(password, salt, hashBytes)) })
	return phc, err
}

// clean returns a password in its one form: what a keyboard composes differs
// between systems. Errors: Invalid.
func clean(password string) (string, error) {
	if len(password) <= maxPasswordBytes {
		password = norm.NFKC.String(password)
	}
	switch n := utf8.RuneCountInString(password); {
	case n < minPassword:
		return "", chat.Invalidf("password-too-short", "password must have %d to %d characters", minPassword, maxPassword)
	case n > maxPassword:
		return "", chat.Invalidf("password-too-long", "password must have %d to %d characters", minPassword, maxPassword)
	case blank(password):
		return "", chat.Invalidf("password-invisible", "password must have something in it that can be seen")
	case common(password):
		return "", chat.Invalidf("password-common", "password is one of the most common ones: anybody would try it")
	}
	return password, nil
}

// verify reports whether a password is the one of a PHC string; the string says at
// which cost it was hashed. Errors: Unavailable as do; Internal for a string that
// is none.
func (h hasher) verify(ctx context.Context, phc, password string) (ok bool, err error) {
	c, salt, want, err := decode(phc)
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	if len(password) > maxPasswordBytes { // nobody's, and takes as long as another one
		password = ""
	}
	composed, before := norm.NFKC.String(password), norm.NFC.String(password)
	err = h.do(ctx, func() {
		ok = subtle.ConstantTimeCompare(c.derive(composed, salt, len(want)), want) == 1
		if !ok && before != composed { // as hashes were made once
			ok = subtle.ConstantTimeCompare(c.derive(before, salt, len(want)), want) == 1
		}
	})
	return ok && err == nil, err
}

func (c cost) derive(password string, salt []byte, length int) []byte {
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, uint32(length))
}

const phcFormat = "$argon2id$v=%d$m=%d,t=%d,p=%d$"

func (c cost) encode(salt, hash []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf(phcFormat, argon2.Version, c.memory, c.passes, c.threads) + b64.EncodeToString(salt) + "$" + b64.EncodeToString(hash)
}

func decode(phc string) (c cost, salt, hash []byte, err error) {
	var version int
	if _, err := fmt.Sscanf(phc, phcFormat, &version, &c.memory, &c.passes, &c.threads); err != nil {
		return c, nil, nil, errors.New("not an argon2id PHC string")
	}
	if version != argon2.Version {
		return c, nil, nil, fmt.Errorf("argon2 version %d", version)
	}
	if c.memory > greatest.memory || c.passes < 1 || c.passes > greatest.passes || c.threads < 1 || c.threads > greatest.threads {
		return c, nil, nil, fmt.Errorf("argon2 parameters %+v", c)
	}
	parts := strings.Split(phc, "$") // "", argon2id, v, parameters, salt, hash
	if len(parts) != 6 {
		return c, nil, nil, errors.New("not an argon2id PHC string")
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return c, nil, nil, fmt.Errorf("salt: %w", err)
	}
	hash, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return c, nil, nil, fmt.Errorf("hash: %w", err)
	}
	if len(salt) < 8 || len(hash) < 16 || len(hash) > 64 {
		return c, nil, nil, errors.New("salt or hash of an unusual length")
	}
	return c, salt, hash, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
