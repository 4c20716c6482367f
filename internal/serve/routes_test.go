package serve_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

func TestRoutes(t *testing.T) {
	h := serve.Routes(map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /rooms/{room}": func(w http.ResponseWriter, r *http.Request) error {
			if r.PathValue("room") == "closed" {
				return chat.Errorf(chat.Forbidden, "closed")
			}
			serve.JSON(w, http.StatusOK, map[string]string{"id": r.PathValue("room")})
			return nil
		},
	})
	for _, c := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{"GET", "/rooms/r", 200, "application/json"},
		{"GET", "/rooms/closed", 403, "application/problem+json"},
		{"GET", "/elsewhere", 404, "application/problem+json"},
		{"POST", "/rooms/r", 405, "application/problem+json"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType {
			t.Errorf("%s %s: %d, %v", c.method, c.path, w.Code, w.Header())
		}
		if c.status == 405 && w.Header().Get("Allow") == "" {
			t.Error("405 without the methods that are allowed")
		}
	}
}
