package chat

import (
	"context"
	"time"
)

// EventStore holds the rooms' events for history: a projection of the log.
type EventStore interface {
	// Put stores logged events of rooms, durably when it returns; hidden types and
	// users' own streams are ignored. It is idempotent by
	// (Stream, Sequence). Of events of one stream with the same Source and ID
	// only the one with the lowest Sequence stays, in whatever order and however
	// often they are put. On an error any part may be stored; put all again.
	//
	// It never replaces another event: one whose sequence another event of the stream
	// has is a Conflict. The log has then lost events that were stored before, and
	// given their places again.
	//
	// What events say about messages, it keeps as internal/projection has it; and of a
	// deleted message no text, mentions or attachments, whatever order they come in.
	Put(ctx context.Context, events []Event) error

	// Events returns stored events of a room, oldest first, and whether there
	// are more in the direction of the range.
	Events(ctx context.Context, room RoomID, r Range) (events []Event, more bool, err error)

	// Messages is as Events, with MessagePosted only. Its cost depends on the
	// number of messages returned, not on the other events or the room's size.
	Messages(ctx context.Context, room RoomID, r Range) (messages []Event, more bool, err error)

	// At returns the messages of a room that are stored under the sequences, oldest
	// first; those that are not are left out.
	At(ctx context.Context, room RoomID, messages []Sequence) ([]Event, error)

	// Firsts returns, for each of the events, the sequence under which an event of
	// its Stream with its Source and ID is stored; 0 where none is.
	Firsts(ctx context.Context, events []Event) ([]Sequence, error)

	// Unread counts the messages in a range that others than user sent and that are not
	// deleted, and stops counting at the range's limit. Where the range says what is
	// settled, counting again costs what has come or was read since, not what is unread.
	Unread(ctx context.Context, room RoomID, user UserID, r Range) (int, error)

	// Mentions is as Unread, of those messages only that now mention user, or [Everyone].
	Mentions(ctx context.Context, room RoomID, user UserID, r Range) (int, error)

	// Scan calls f with every stored event that [Index] handles, in batches: first the
	// messages, by room and sequence, then what was changed of them. It is for rebuilding
	// what was made of them, and stops with f's error.
	Scan(ctx context.Context, f func(events []Event) error) error
}

// Range selects events of one room.
type Range struct {
	After  Sequence // exclusive
	Before Sequence // exclusive; 0 means no bound
	Limit  int      // at most this many; required
	Bytes  int      // at most so many of their frames, but one event at least; 0 means no bound
	Newest bool     // the newest of the range instead of the oldest; still answered oldest first

	// Settled is where the log's tail begins, see [Tails]: below it no event is put any
	// more, so what is counted there may be remembered. 0 means that it is not known.
	Settled Sequence

	Except []Sequence // messages that are not counted, whatever is stored of them
}

// RoomStore holds rooms, members and read positions: a projection of the log.
type RoomStore interface {
	// Apply merges logged room, member and read events into what is stored, as
	// internal/projection does, and ignores all other types, and everything on
	// users' own streams. Order, repetition and replay make no difference. Durable
	// when it returns.
	Apply(ctx context.Context, events []Event) error

	// Room returns a room. Errors: NotFound.
	Room(ctx context.Context, room RoomID) (Room, error)

	// Membership returns the user's relation to the room, active or not.
	// Errors: NotFound when the user never was a member and no invitation waits.
	Membership(ctx context.Context, room RoomID, user UserID) (Membership, error)

	// Members returns all who are or were members, by user.
	Members(ctx context.Context, room RoomID) ([]Membership, error)

	// RoomsOf returns the user's active memberships, by room.
	RoomsOf(ctx context.Context, user UserID) ([]Membership, error)

	// Invitations returns the user's memberships that wait for consent, by room.
	Invitations(ctx context.Context, user UserID) ([]Membership, error)

	// Counts returns how many active members each of the rooms has; none where there are
	// none. Its cost does not grow with them.
	Counts(ctx context.Context, rooms []RoomID) (map[RoomID]int, error)

	// Owned returns those of the rooms that have an active member who is an owner.
	Owned(ctx context.Context, rooms []RoomID) (map[RoomID]bool, error)
}

// AccountStore holds accounts and friends. It is not a projection: what it holds
// is nowhere else.
type AccountStore interface {
	// Create stores a new account, durably. One without an email address can only be
	// found by its ID. Errors: Conflict when the ID or the email address is taken,
	// atomically so. Spellings of an address are one, whatever case they are in, with
	// characters that are not seen, full-width ones, and a domain in Unicode or punycode.
	Create(ctx context.Context, a Account) error

	// Account and ByEmail return an account; ByEmail whatever the spelling. Accounts
	// from before that have one address in several spellings are each found under
	// their own. Errors: NotFound.
	Account(ctx context.Context, user UserID) (Account, error)
	ByEmail(ctx context.Context, email string) (Account, error)

	// SetNickname changes the nickname, durably. Errors: NotFound.
	SetNickname(ctx context.Context, user UserID, nickname string) error

	// Befriend and Unfriend add and remove an entry of user's list, idempotently.
	// Friends lists it by ID.
	Befriend(ctx context.Context, user, friend UserID) error
	Unfriend(ctx context.Context, user, friend UserID) error
	Friends(ctx context.Context, user UserID) ([]UserID, error)
}

// SessionStore holds logins. Like accounts it is not a projection.
type SessionStore interface {
	// Open stores a new session, durably.
	Open(ctx context.Context, s Session) error

	// Session returns a session, revoked or not. Errors: NotFound.
	Session(ctx context.Context, id string) (Session, error)

	// Rotate replaces the refresh hash old by its successor, atomically and
	// durably, as of now. The same call within [RefreshGrace] of the first changes
	// nothing and returns the same, from wherever it comes; so the successor has to
	// follow from old.
	//
	// Any other hash than the current one is Forbidden; what that means is for the
	// caller to know, and the session goes on. A revoked or expired session is
	// Unauthenticated, an unknown one NotFound.
	Rotate(ctx context.Context, id, old, successor string, now, expires time.Time) (Session, error)

	// Revoke ends a session, durably and idempotently. Errors: NotFound.
	Revoke(ctx context.Context, id string) error
}

// InviteStore holds invites. Like accounts it is not a projection.
type InviteStore interface {
	// Create stores a new invite, durably. Errors: Conflict when the code is taken.
	Create(ctx context.Context, i Invite) error

	// Invite returns an invite, expired and used up or not. Errors: NotFound.
	Invite(ctx context.Context, code string) (Invite, error)

	// Invites returns a room's invites, by code.
	Invites(ctx context.Context, room RoomID) ([]Invite, error)

	// Change stores what f makes of an invite, durably, and as nobody else changes it
	// between. It may call f again, also with what f has left before: f must take that
	// for the same change. An error of f is returned, and nothing is stored. Errors:
	// NotFound, f's own.
	Change(ctx context.Context, code string, f func(*Invite) error) error

	// Withdraw removes an invite, durably. Errors: NotFound.
	Withdraw(ctx context.Context, code string) error
}

// AttemptStore counts attempts, to limit their rate.
type AttemptStore interface {
	// Attempt counts one attempt for key and returns how many there were in the
	// window that now falls into, this one included. Windows are aligned to
	// multiples of their length. Counts need not survive a crash.
	Attempt(ctx context.Context, key string, window time.Duration, now time.Time) (int, error)
}

// RouteStore holds which connectors have subscribers of which streams: a
// projection of the route events.
type RouteStore interface {
	// Apply opens or closes routes. A change is applied only if its Sequence is
	// above that of the last one for the same stream and connector. Durable when it
	// returns.
	Apply(ctx context.Context, changes []RouteChange) error

	// Connectors returns, for each of the streams that has any, the ordinals of the
	// connectors with an open route of it, ascending.
	Connectors(ctx context.Context, streams []StreamID) (map[StreamID][]int, error)
}

// RouteChange is one route.opened or route.closed.
type RouteChange struct {
	Stream    StreamID
	Connector int
	Open      bool
	Sequence  Sequence
	Origin    *Origin // nil where it is not known
}

// SearchIndex is the inverted index over messages: a projection of the log.
type SearchIndex interface {
	// Put indexes what events say of messages, durably when it returns. In whatever
	// order and however often documents are put, an edit before what it edits too, the
	// index is the same in the end. Of documents of one room with the same Source and ID
	// only the one with the lowest Sequence counts, as in [EventStore].
	//
	// A message has the terms of the highest of its edits, of which only those by its own
	// user count, and of its own the [Lasting] ones. One that is deleted has none.
	Put(ctx context.Context, docs []Document) error

	// Search returns the newest matches in the rooms, newest first by (Time,
	// Room, Sequence), and whether there are more.
	Search(ctx context.Context, q Query) (hits []Hit, more bool, err error)

	// Stale reports whether the index has documents of a lower Analysis.
	Stale(ctx context.Context, analysis int) (bool, error)

	// Refresh makes a stale index one of the present analysis, and reports whether
	// it had anything to do: document makes the document of a message that the
	// store holds. A message that is not there is stale still, or gone from the
	// index until it is put again, as the log has it. Searches meanwhile find by
	// either analysis, or fewer. It may be interrupted and begun again, by any
	// number of processes at once; the index is stale until it is done.
	Refresh(ctx context.Context, analysis int, events EventStore, document func(*Event) (Document, error)) (bool, error)

	// Wipe empties the index.
	Wipe(ctx context.Context) error

	// Dump calls f with every posting in a fixed order, for comparing two
	// indexes. It stops with f's error.
	Dump(ctx context.Context, f func(room RoomID, term string, hit Hit) error) error
}

// Document is what one event says of a message, as the index takes it: that there is
// one, or what happened to another.
type Document struct {
	Room     RoomID
	Sequence Sequence // the event's
	Source   string
	ID       string
	Time     time.Time
	About    Sequence // of an edit or a deletion: the message, which is before it; else 0
	Deleted  bool     // the event deletes that message
	Terms    []string // distinct
	Origin   *Origin  // nil where it is not known
	Analysis int      // the version of what made the terms
}

// Lasting begins the terms of a message that its edits leave as they are. In those of an
// edit they do not count.
const Lasting = "\x02"

// Query selects messages: in Rooms, from any of the senders, every word matches, within
// the bounds.
type Query struct {
	Rooms  []RoomID
	Words  []Word   // at least one, if there is no sender
	From   []UserID // senders; none for all
	After  time.Time
	Before time.Time // exclusive; zero means no bound
	Cursor Hit       // hits strictly older than this one; zero for the first page
	Limit  int       // required
}

// Word is one word of a query: it matches a message if any of its alternatives
// does, and an alternative does if all its terms are in the message.
type Word struct {
	Any [][]string
}

// Hit is a match.
type Hit struct {
	Room     RoomID
	Sequence Sequence
	Time     time.Time
}

// Delivery is what one connector has to send to the subscribers of a stream.
type Delivery struct {
	Connector int
	Stream    StreamID
	Sequence  Sequence
	Type      Type
	Only      UserID // whose sessions alone get it; "" for all that follow the stream
	Frame     []byte // the finished frame
}

// Log is where events become true.
type Log interface {
	// Append logs events in their order and returns when all are acknowledged by
	// all in-sync replicas; it sets each one's Sequence. Errors: Unavailable, and
	// then any of them may be in the log nevertheless; append again with the same
	// IDs.
	Append(ctx context.Context, events ...*Event) error

	// Tail returns a stream's events that the persist group has not committed
	// yet, oldest first, up to the log's end at the time of the call: everything
	// acknowledged that [EventStore] may not hold. Resent events are among them
	// again. Errors: Unavailable.
	Tail(ctx context.Context, stream StreamID) ([]Event, error)

	// TailEnd is as Tail, and also returns where the tail ends: the least sequence
	// that an event logged after the call began could have. Below it the tail and
	// [EventStore], read afterwards, are complete together. From it on the store
	// may have gaps already, as persisting is unordered.
	TailEnd(ctx context.Context, stream StreamID) (tail []Event, end Sequence, err error)

	// TailBehind is as TailEnd, and calls read before it looks where the log ends: what
	// read has from the stores and the tail are together what the stream's events up to
	// the end say, and nothing that a later one says. read may be called again when the
	// log moves.
	TailBehind(ctx context.Context, stream StreamID, read func(context.Context) error) (tail []Event, end Sequence, err error)

	// Tails returns the tails of all streams, as Tail does of one, at the cost of one
	// look for all of them. They are not the caller's to change. Errors: Unavailable,
	// after two seconds at most if the log does not answer, and when they are more
	// than is worth reading for what the stores have nearly all of.
	Tails(ctx context.Context) (Tails, error)
}

// Tails are those of all streams.
type Tails interface {
	// Of returns a stream's tail.
	Of(stream StreamID) []Event

	// Begin is where the tail of a stream begins: below it the stores have all there is.
	Begin(stream StreamID) Sequence
}

// Deliverer passes finished frames to connectors.
type Deliverer interface {
	// Deliver appends deliveries in their order, for each connector, and returns
	// when all are acknowledged. Errors: Unavailable; deliver all again.
	Deliver(ctx context.Context, deliveries []Delivery) error
}

// Handler is the core of an event function.
type Handler interface {
	// HandleEvents handles logged events (Stream and Sequence set), in their
	// order, and returns when it is durably done with all of them. It is
	// idempotent. On an error nothing is promised about any of them: each is to be
	// handled again, alone if the batch had several. An error whose kind is
	// [Kind.Never] means that a lone event will never be handled. Types that are
	// not the handler's are ignored without an error.
	HandleEvents(ctx context.Context, events []Event) error
}
