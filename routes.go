package chat

import (
	"cmp"
	"slices"
	"strings"
)

// Topics of the log.
const (
	TopicRooms      = "chat.rooms"
	TopicSignals    = "chat.signals"
	TopicDeliveries = "chat.deliveries"
	TopicDead       = "chat.dead"
)

// EventFunction says how an event function follows the log.
type EventFunction struct {
	Name    string
	Topic   string
	Group   string // consumer group
	Ordered bool   // one event after the other in each partition; otherwise in any order
	Types   []Type // what it handles; nil means everything

	by string // the name of the function that handles them, if it has another one

	// Store is what the function writes last, as [Applied] names it. Should the store
	// lose its end, the function is taken back in the log to where it is. "" means
	// that it never is.
	Store string
}

// The event functions.
var (
	Persist = EventFunction{Name: "persist", Topic: TopicRooms, Group: "knatter-persist", Types: typesFor(byPersist), Store: StoreEvents}
	Index   = EventFunction{Name: "index", Topic: TopicRooms, Group: "knatter-index", Types: typesFor(byIndex), Store: StoreIndex}

	// Fanout is never taken back: it would deliver again.
	Fanout = EventFunction{Name: "fanout", Topic: TopicRooms, Group: "knatter-fanout", Ordered: true}

	// Signals is fan-out once more, for what is of use only at once: what fails or is late
	// is dropped.
	Signals = EventFunction{Name: "signals", by: Fanout.Name, Topic: TopicSignals, Group: "knatter-signals", Ordered: true}
)

// EventFunctions is the table of the event functions that follow the rooms' log, each
// of its events at least once.
var EventFunctions = []EventFunction{Persist, Index, Fanout}

// Followers is the table of all that follows the log for a function: [EventFunctions],
// and Signals.
var Followers = slices.Concat(EventFunctions, []EventFunction{Signals})

// Function is the name of the function that is given the events.
func (f EventFunction) Function() string { return cmp.Or(f.by, f.Name) }

// Handles reports whether the function is to be given events of the type.
func (f EventFunction) Handles(t Type) bool {
	return f.Types == nil || slices.Contains(f.Types, t)
}

// RequestFunctions are the functions that answer HTTP requests.
var RequestFunctions = []string{"accounts", "rooms", "history", "search"}

// paths is the table of the HTTP paths that functions answer. A row stands for its path and
// all below it, unless a longer row fits; what is in braces stands for any segment.
var paths = []struct{ path, function string }{
	{"/.well-known/jwks.json", "accounts"},
	{"/v1/accounts", "accounts"},
	{"/v1/sessions", "accounts"},
	{"/v1/oauth", "accounts"},
	{"/v1/me", "accounts"},
	{"/v1/me/invitations", "rooms"},
	{"/v1/direct", "rooms"},
	{"/v1/invitations", "rooms"},
	{"/v1/rooms", "rooms"},
	{"/v1/rooms/{room}/messages", "history"},
	{"/v1/rooms/{room}/events", "history"},
	{"/v1/search", "search"},
}

// FunctionFor is the name of the function that answers an HTTP path; "" when none
// does.
func FunctionFor(path string) (function string) {
	most, segments := 0, strings.Split(path, "/")
	for _, row := range paths {
		pattern := strings.Split(row.path, "/")
		if len(pattern) > most && below(segments, pattern) {
			most, function = len(pattern), row.function
		}
	}
	return function
}

// below reports whether a path is the pattern's or below it.
func below(path, pattern []string) bool {
	if len(path) < len(pattern) {
		return false
	}
	for i, p := range pattern {
		if p != path[i] && !strings.HasPrefix(p, "{") {
			return false
		}
	}
	return true
}
