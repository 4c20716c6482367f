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

// FunctionFor is the name of the function that answers an HTTP path; "" when none
// does.
func FunctionFor(path string) string {
	if path == "/.well-known/jwks.json" {
		return "accounts"
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return ""
	}
	part := strings.Split(rest, "/")
	switch part[0] {
	case "me":
		if len(part) == 2 && part[1] == "invitations" {
			return "rooms"
		}
		return "accounts"
	case "accounts", "sessions", "oauth":
		return "accounts"
	case "direct":
		return "rooms"
	case "search":
		return "search"
	case "rooms":
		if len(part) == 3 && (part[2] == "messages" || part[2] == "events") {
			return "history"
		}
		return "rooms"
	}
	return ""
}
