package serve

import (
	"context"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// believed is the context key of requests whose caller is trusted.
type believed struct{}

func believe(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), believed{}, true))
}

// Believed reports whether the caller of a request is the connector, so that what it
// says about the client can be trusted, such as X-Forwarded-For: the caller either runs
// in this process or has shown the secret that the function demands. A function that
// demands no secret trusts nobody over HTTP.
func Believed(r *http.Request) bool { return r.Context().Value(believed{}) != nil }

// Demand returns a handler that passes on the requests of callers that show a secret,
// and answers all others by 401. If callers is nil, everybody may call, and nobody is
// trusted.
func Demand(callers *auth.Callers, h http.Handler) http.Handler {
	// The servers of func-go and net/http would log the value of a panic.
	h = Guarded("the function", h)
	if callers == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != publicKeys {
			if !callers.Admits(r) {
				auth.Challenge(w.Header())
				Fail(w, r, chat.Errorf(chat.Unauthenticated, "missing or wrong caller secret in the header %s", auth.CallerHeader))
				return
			}
			r = believe(r)
		}
		h.ServeHTTP(w, r)
	})
}

// publicKeys answers everybody.
const publicKeys = "/.well-known/jwks.json"
