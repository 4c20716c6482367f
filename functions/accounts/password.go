package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

// A password's length, in code points. There are no rules about what must be in
// it (NIST SP 800-63B).
const (
	minPassword = 8
	maxPassword = 128
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

	// hashWait is how long a request waits for its turn at hashing.
	hashWait = 10 * time.Second
)

// decoy is the hash that a login with an unknown address is verified against, so
// that it takes as long as one with a wrong password. It is of no password: its
// hash is random.
var decoy = current.encode(randomBytes(saltBytes), randomBytes(hashBytes))

// hasher hashes passwords, not more at a time than there are processors: more
// would take memory, 19 MiB each, without being faster.
type hasher struct{ slots chan struct{} }

func newHasher() hasher { return hasher{slots: make(chan struct{}, runtime.GOMAXPROCS(0))} }

func (h hasher) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "waiting to hash a password: %w", ctx.Err())
	}
}

// hash returns the PHC string of a password. Errors: Invalid for a password that
// is too short or too long, Unavailable when it would have to wait too long.
func (h hasher) hash(ctx context.Context, password string) (string, error) {
	password = norm.NFC.String(password) // what a keyboard composes differs between systems
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		return "", chat.Errorf(chat.Invalid, "password must have %d to %d characters", minPassword, maxPassword)
	}
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.slots }()
	salt := randomBytes(saltBytes)
	return current.encode(salt, current.derive(password, salt, hashBytes)), nil
}

// verify tells whether a password is the one of a PHC string; the string says at
// which cost it was hashed. Errors: Unavailable as hash; Internal for a string
// that is none.
func (h hasher) verify(ctx context.Context, phc, password string) (bool, error) {
	c, salt, want, err := decode(phc)
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer func() { <-h.slots }()
	got := c.derive(norm.NFC.String(password), salt, len(want))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
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
