// Package attempts limits how often somebody may do something, across all processes
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

// Rate is a number of attempts per window. Windows begin at multiples of their length.
type Rate struct {
	Count  int
	Window time.Duration
}

// Allow counts an attempt at what, by who, and refuses it if the rate is exceeded.
// Errors: TooMany, those of the store.
func Allow(w http.ResponseWriter, r *http.Request, store chat.AttemptStore, what, who string, limit Rate) error {
	n, err := Count(r.Context(), store, what, who, limit.Window)
	if err == nil && n > limit.Count {
		err = Later(w, limit.Window)
	}
	return err
}

// Count counts an attempt at what, by who, in the current window.
func Count(ctx context.Context, store chat.AttemptStore, what, who string, window time.Duration) (int, error) {
	// Keys are hashed, so that they have one length and no address can be read from
	// them.
	key := fmt.Sprintf("%s:%x", what, sha256.Sum256([]byte(who)))
	n, err := store.Attempt(ctx, key, window, time.Now())
	if err != nil {
		return 0, fmt.Errorf("counting an attempt: %w", err)
	}
	return n, nil
}

// Later returns an error until the end of the current window, and sets that as
// Retry-After on w.
func Later(w http.ResponseWriter, window time.Duration) error {
	now := time.Now()
	wait := now.Truncate(window).Add(window).Sub(now)
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	return chat.Errorf(chat.TooMany, "too many attempts; try again later")
}
