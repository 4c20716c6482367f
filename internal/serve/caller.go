package serve

import (
	"context"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// believed marks the context of a request whose caller is known.
type believed struct{}

func believe(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), believed{}, true))
}

// Believed reports whether a request's caller is the connector, so that what it
// says of the client, as in X-Forwarded-For, is so: it runs in this process, or has
// shown the secret that the function demands. Of a function that demands none,
// served by HTTP, nobody is believed.
func Believed(r *http.Request) bool { return r.Context().Value(believed{}) != nil }

// Demand is a handler that answers only callers that show a secret, all others by 401.
// With nil whoever reaches the handler may call, and is not believed.
func Demand(callers *auth.Callers, h http.Handler) http.Handler {
	// func-go's server, like net/http's, would log what a handler panicked with.
	h = Guarded("the function", h)
	if callers == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != publicKeys {
			if !callers.Admits(r) {
				auth.Challenge(w.Header())
				Fail(w, r, chat.Errorf(chat.Unauthenticated, "the header %s with the secret of this function's callers is needed", auth.CallerHeader))
				return
			}
			r = believe(r)
		}
		h.ServeHTTP(w, r)
	})
}

// publicKeys are for everybody.
const publicKeys = "/.well-known/jwks.json"
