// Package serve is the HTTP edge of the functions: problem documents, JSON
// bodies, and the adapter that makes a [chat.Handler] an HTTP event function.
package serve

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
)

// Problem is an RFC 9457 problem document. Error frames have the same members.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`

	RetryAfter int `json:"retryAfter,omitempty"` // in seconds
}

// problems has the stable type URIs. They are names, not addresses to fetch. An error's
// reason, if it has one, is appended.
var problems = map[chat.Kind]Problem{
	chat.Internal:        {Type: "https://knatter.dev/problems/internal", Title: "Internal error", Status: http.StatusInternalServerError},
	chat.Malformed:       {Type: "https://knatter.dev/problems/malformed", Title: "Malformed request", Status: http.StatusBadRequest},
	chat.Unauthenticated: {Type: "https://knatter.dev/problems/unauthenticated", Title: "Not logged in", Status: http.StatusUnauthorized},
	chat.Forbidden:       {Type: "https://knatter.dev/problems/forbidden", Title: "Not allowed", Status: http.StatusForbidden},
	chat.NotFound:        {Type: "https://knatter.dev/problems/not-found", Title: "Not found", Status: http.StatusNotFound},
	chat.Conflict:        {Type: "https://knatter.dev/problems/conflict", Title: "Conflict", Status: http.StatusConflict},
	chat.TooLarge:        {Type: "https://knatter.dev/problems/too-large", Title: "Too large", Status: http.StatusRequestEntityTooLarge},
	chat.Invalid:         {Type: "https://knatter.dev/problems/invalid", Title: "Invalid", Status: http.StatusUnprocessableEntity},
	chat.TooMany:         {Type: "https://knatter.dev/problems/too-many", Title: "Too many requests", Status: http.StatusTooManyRequests},
	chat.Unavailable:     {Type: "https://knatter.dev/problems/unavailable", Title: "Temporarily unavailable", Status: http.StatusServiceUnavailable},
}

// Problems that mean no more than their status have no type of their own.
var (
	MethodNotAllowed    = Problem{Type: "about:blank", Title: "Method not allowed", Status: http.StatusMethodNotAllowed}
	TooSlow             = Problem{Type: "about:blank", Title: "Request timeout", Status: http.StatusRequestTimeout}
	HeadersTooLarge     = Problem{Type: "about:blank", Title: "Request header fields too large", Status: http.StatusRequestHeaderFieldsTooLarge}
	VersionNotSupported = Problem{Type: "about:blank", Title: "HTTP version not supported", Status: http.StatusHTTPVersionNotSupported}
)

// refuseMethod answers a request by 405 with the methods that are allowed.
func refuseMethod(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	write(w, "application/problem+json", MethodNotAllowed.Status, MethodNotAllowed)
}

// ProblemOf translates an error. The details of Internal and Unavailable are withheld
// from the caller.
func ProblemOf(err error) Problem {
	p := problems[chat.KindOf(err)]
	var e *chat.Error
	if p.Status < 500 && errors.As(err, &e) {
		p.Detail = e.Detail
		if e.Reason != "" {
			p.Type += "/" + e.Reason
		}
		p.RetryAfter = int(math.Ceil(e.After.Seconds()))
	}
	return p
}

// Err is the error that a problem document tells of, as far as it does: [ProblemOf] makes
// the same document of it. It is Unavailable for a document that is none of ours.
func (p Problem) Err() error {
	for kind, of := range problems {
		if of.Status != p.Status || of.Status >= 500 {
			continue
		}
		if reason, ok := strings.CutPrefix(p.Type, of.Type); ok {
			return &chat.Error{Kind: kind, Reason: strings.TrimPrefix(reason, "/"), Detail: p.Detail}
		}
	}
	return chat.Errorf(chat.Unavailable, "answered with %d", p.Status)
}

// Fail answers a request with err as a problem document, and logs it if the fault is
// ours.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	if p.Status >= 500 {
		slog.ErrorContext(r.Context(), "request failed", slog.String("method", r.Method), slog.String("path", LogPath(r.URL.Path)), slog.Any("error", err))
	}
	if p.Status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", "Bearer") // required with each 401 (RFC 9110)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	write(w, "application/problem+json", p.Status, p)
}

// Later reports whether a status means that the same request may succeed later. Such
// answers have a Retry-After header.
func Later(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// LogPath returns a path for logs. What follows rooms/ and invitations/ is a code by
// which people join, so the result has its hash instead.
func LogPath(path string) string {
	segments := strings.Split(path, "/")
	for i := 1; i < len(segments); i++ {
		if before := segments[i-1]; segments[i] != "" && (before == "rooms" || before == "invitations") {
			segments[i] = chat.RoomID(segments[i]).LogValue().String()
		}
	}
	return strings.Join(segments, "/")
}

// Guarded answers for a handler that panics; see [guard.Call]. what names the handler.
func Guarded(what string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := guard.Call(r.Context(), slog.Default(), what, func() error {
			h.ServeHTTP(w, r)
			return nil
		})
		if err != nil {
			write(w, "application/problem+json", http.StatusInternalServerError, ProblemOf(err))
		}
	})
}

// JSON answers a request with v.
func JSON(w http.ResponseWriter, status int, v any) {
	write(w, "application/json", status, v)
}

func write(w http.ResponseWriter, contentType string, status int, v any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	if Later(status) && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // if the client is gone, nobody needs the error
}

// The maximum size of request bodies that functions read, in bytes: of events, also in
// batches, and of other requests.
const (
	MaxBody    = 1 << 20
	MaxRequest = 64 << 10
)

// Decode reads the request's body, one JSON value, into v, as [chat.Unmarshal] does.
// Errors: Malformed, TooLarge, Invalid for JSON that [chat.CheckJSON] refuses, or the
// errors of v's own unmarshalling.
func Decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequest))
	if err != nil {
		return bodyError(err)
	}
	if err := chat.CheckJSON(body); err != nil {
		return err
	}
	err = chat.Unmarshal(body, v)
	var kind *chat.Error
	if err == nil || errors.As(err, &kind) {
		return err
	}
	return chat.Errorf(chat.Malformed, "the body is not the expected JSON: %w", err)
}
