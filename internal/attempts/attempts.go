// Package attempts limits how often somebody may do something, over all processes
// that share a store.
package attempts

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"knatter.dev/chat"
)

// Rate is a number of attempts in a window; windows begin at multiples of their
// length.
type Rate struct {
	Count  int
	Window time.Duration
}

// Allow counts an attempt at what, by who, and refuses if it is one too many. Errors:
// TooMany, the store's own.
func Allow(w http.ResponseWriter, r *http.Request, store chat.AttemptStore, what, who string, limit Rate) error {
	n, err := Count(r.Context(), store, what, who, limit.Window)
	if err == nil && n > limit.Count {
		err = Later(w, limit.Window)
	}
	return err
}

// Count counts an attempt at what, by who, in the window of now.
func Count(ctx context.Context, store chat.AttemptStore, what, who string, window time.Duration) (int, error) {
	// Hashed, so that keys have one length and hold nobody's address.
	key := fmt.Sprintf("%s:%x", what, sha256.Sum256([]byte(who)))
	n, err := store.Attempt(ctx, key, window, time.Now())
	if err != nil {
		return 0, fmt.Errorf("counting an attempt: %w", err)
	}
	return n, nil
}

// Later refuses until the end of the window of now, which it sets as Retry-After on w.
func Later(w http.ResponseWriter, window time.Duration) error {
	now := time.Now()
	wait := now.Truncate(window).Add(window).Sub(now)
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	return chat.Errorf(chat.TooMany, "too many attempts, try again later")
}
