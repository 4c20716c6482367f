package serve

import (
	"net/http"

	"knatter.dev/chat"
)

// Routes dispatches requests by a table from patterns of [http.ServeMux] to handlers.
// It answers a handler's error, a path that is not in the table, and a method that the
// path does not have by problem documents.
func Routes(table map[string]func(http.ResponseWriter, *http.Request) error) http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range table {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				Fail(w, r, err)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refused := &answer{header: make(http.Header)}
		refuse.ServeHTTP(refused, r) // plain text; but it knows the methods of the path
		if refused.status != http.StatusMethodNotAllowed {
			Fail(w, r, chat.Errorf(chat.NotFound, "no such route"))
			return
		}
		refuseMethod(w, refused.header.Get("Allow"))
	})
}
