package accounts

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
)

// Rate is a number of attempts in a window; windows begin at multiples of their
// length.
type Rate struct {
	Count  int
	Window time.Duration
}

// Limits are the rates over which requests are answered by 429. The zero value
// of each means its default.
type Limits struct {
	Login    Rate // of one address from one client; default 10 in 15 minutes
	Client   Rate // logins and refreshes of one client, which may be a whole office; default 300 a minute
	SignUp   Rate // of one client; default 1,000 an hour
	Nickname Rate // changes by one user, each of which is an event in all rooms; default 30 an hour
	Friend   Rate // additions by one user; default 100 an hour
}

var defaults = Limits{
	Login:    Rate{10, 15 * time.Minute},
	Client:   Rate{300, time.Minute},
	SignUp:   Rate{1000, time.Hour},
	Nickname: Rate{30, time.Hour},
	Friend:   Rate{100, time.Hour},
}

// allow counts an attempt at what, by who, and sets Retry-After on w if it is one
// too many. Errors: TooMany, the store's own.
func (f *Function) allow(w http.ResponseWriter, r *http.Request, what, who string, limit, standard Rate) error {
	limit = cmp.Or(limit, standard)
	now := time.Now()
	// Hashed, so that keys have one length and hold nobody's address.
	key := fmt.Sprintf("%s:%x", what, sha256.Sum256([]byte(who)))
	n, err := f.attempts.Attempt(r.Context(), key, limit.Window, now)
	if err != nil {
		return fmt.Errorf("counting an attempt: %w", err)
	}
	if n > limit.Count {
		wait := now.Truncate(limit.Window).Add(limit.Window).Sub(now)
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		return chat.Errorf(chat.TooMany, "too many attempts, try again later")
	}
	return nil
}

// client is who a request comes from, for counting: the address that the
// connector saw. Of an IPv6 address it is the network, since one person has all
// of that.
func client(r *http.Request) string {
	host, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	host = strings.TrimSpace(host)
	if host == "" {
		host = r.RemoteAddr
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}
