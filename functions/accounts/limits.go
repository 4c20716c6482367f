package accounts

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"knatter.dev/chat/internal/attempts"
	"knatter.dev/chat/internal/serve"
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
	Login    Rate // into one account from one client, over which logins are delayed; default 10 in 15 minutes
	Account  Rate // into one account from all clients, likewise; default 50 an hour
	Client   Rate // logins and refreshes of one client, which may be a whole office; default 300 a minute
	SignUp   Rate // of one client; default 1,000 an hour
	Nickname Rate // changes by one user, each of which is an event in all rooms; default 30 an hour
	Friend   Rate // additions by one user; default 100 an hour
	Friends  Rate // additions by one client; default 300 an hour

	Delay time.Duration // of logins over their rates, and six times that far over them; default 10 s
}

var defaults = Limits{
	Login:    Rate{10, 15 * time.Minute},
	Account:  Rate{50, time.Hour},
	Delay:    10 * time.Second,
	Client:   Rate{300, time.Minute},
	SignUp:   Rate{1000, time.Hour},
	Nickname: Rate{30, time.Hour},
	Friend:   Rate{100, time.Hour},
	Friends:  Rate{300, time.Hour},
}

// allow counts an attempt at what, by who, and sets Retry-After on w if it is one
// too many. Errors: TooMany, the store's own.
func (f *Function) allow(w http.ResponseWriter, r *http.Request, what, who string, limit, standard Rate) error {
	limit = cmp.Or(limit, standard)
	n, err := f.count(r.Context(), what, who, limit.Window)
	if err == nil && n > limit.Count {
		err = attempts.Later(w, limit.Window)
	}
	return err
}

// count counts an attempt at what, by who, in the window of now.
func (f *Function) count(ctx context.Context, what, who string, window time.Duration) (int, error) {
	return attempts.Count(ctx, f.attempts, what, who, window)
}

// farOver is how many times its rate somebody has to exceed for the longer delay,
// which is longer by longDelay.
const (
	farOver   = 4
	longDelay = 6
	askedFor  = 10 * time.Minute // that somebody has asked is known for so long
)

// delay slows down the logins into one account when there are many, from one client
// or from all. Over the rate a client is refused at first, and let in once in each
// window of the delay after that: whoever has the right password gets in with it,
// after a wait, whatever others try meanwhile; who guesses has one guess in each
// window for each address. Errors: TooMany, the store's own.
func (f *Function) delay(w http.ResponseWriter, r *http.Request, account string) error {
	ctx, visitor := r.Context(), client(r)+" "+account
	level := 0
	for _, c := range []struct {
		what, who       string
		limit, standard Rate
	}{
		{"login", visitor, f.Limits.Login, defaults.Login},
		{"account", account, f.Limits.Account, defaults.Account},
	} {
		limit := cmp.Or(c.limit, c.standard)
		n, err := f.count(ctx, c.what, c.who, limit.Window)
		switch {
		case err != nil:
			return err
		case n > farOver*limit.Count:
			level = longDelay
		case n > limit.Count:
			level = max(level, 1)
		}
	}
	if level == 0 {
		return nil
	}
	window := time.Duration(level) * cmp.Or(f.Limits.Delay, defaults.Delay)
	asked, err := f.count(ctx, "asked", visitor, askedFor)
	if err != nil {
		return err
	}
	turn, err := f.count(ctx, "turn", visitor, window)
	if err == nil && (asked == 1 || turn > 1) {
		err = attempts.Later(w, window)
	}
	return err
}

// client is who a request comes from, for counting: the address that the
// connector saw. Of an IPv6 address it is the network, since one person has all
// of that.
func client(r *http.Request) string {
	host := ""
	if serve.Believed(r) { // anybody else could make it up
		// What stands behind it was added on the way from the connector.
		host, _, _ = strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
		host = strings.TrimSpace(host)
	}
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
