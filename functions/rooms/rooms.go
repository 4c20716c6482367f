// Package rooms is the function that knows who is in which room: people create
// rooms, join them by their code, invite, leave, and see the list of theirs.
package rooms

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// Bounds. Each is checked before an event is logged, and so can be exceeded by as
// many as do it in the same moment.
const (
	maxRooms   = 1_000  // of a user
	maxMembers = 10_000 // of a room
	maxName    = 100    // of a room's name, in code points
	maxUnread  = 9_999  // counted
)

// Spec declares the function.
var Spec = function.Spec{
	Name:     "rooms",
	Summary:  "Serves rooms and their members: /v1/rooms, /v1/direct, /v1/invitations and /v1/me/invitations.",
	Needs:    function.Needs{Log: true, Appends: true, Verifier: true},
	Settings: (*function.Config).ReceiptSettings,
	Requests: func(d function.Deps) http.Handler { return New(d) },
}

// Function answers /v1/rooms, but for messages and events, /v1/direct, /v1/invitations
// and /v1/me/invitations.
//
// Every change is checked against the store and then logged. Two of them at the
// same time can both pass the check; what counts then is the order in the log,
// and it is the same for everybody.
type Function struct {
	http.Handler

	rooms    projection.Rooms
	events   projection.Events
	accounts chat.AccountStore
	attempts chat.AttemptStore
	invites  chat.InviteStore
	log      chat.Log
	verifier *auth.Verifier
	reads    serve.Reads
	failed   atomic.Pointer[time.Time] // when the log's tails could not be read
	most     int                       // active members of rooms that show receipts

	Limits Limits
}

// New returns the function.
func New(d function.Deps) *Function {
	f := &Function{
		rooms: d.Rooms, events: d.Events, accounts: d.Accounts, attempts: d.Attempts, invites: d.Invites, log: d.Log, verifier: d.Verifier,
		reads: serve.Reads{AtOnce: runtime.NumCPU()}, most: d.Config.ReceiptsMembers,
	}
	if d.Elsewhere {
		f.reads.Elsewhere()
	}
	f.Handler = serve.Routes(map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/rooms":                             f.create,
		"GET /v1/rooms":                              f.reads.Limited(d.Verifier, func(*http.Request) int { return 1 }, f.list),
		"GET /v1/rooms/{room}":                       f.show,
		"PATCH /v1/rooms/{room}":                     f.changeRoom,
		"PATCH /v1/rooms/{room}/me":                  f.prefer,
		"GET /v1/rooms/{room}/members":               f.listMembers,
		"POST /v1/rooms/{room}/members":              f.addMember,
		"PATCH /v1/rooms/{room}/members/{user}":      f.changeMember,
		"DELETE /v1/rooms/{room}/members/{user}":     f.removeMember,
		"POST /v1/direct":                            f.direct,
		"POST /v1/rooms/{room}/invitations":          f.createInvite,
		"GET /v1/rooms/{room}/invitations":           f.listInvites,
		"DELETE /v1/rooms/{room}/invitations/{code}": f.withdrawInvite,
		"POST /v1/invitations/{code}":                f.accept,
		"GET /v1/me/invitations":                     f.invitations,
		"GET /v1/rooms/{room}/pins":                  f.pins,
		"GET /v1/rooms/{room}/receipts":              f.reads.Limited(d.Verifier, func(*http.Request) int { return 1 }, f.receipts),
	})
	return f
}

var (
	errNoRoom  = chat.Errorf(chat.NotFound, "no such room")
	errOutside = chat.Errorf(chat.Forbidden, "you are not in this room")
)

// visit is a request about a room: by whom, to which, and what the one is in the
// other; the zero membership if nothing.
type visit struct {
	user chat.UserID
	room chat.Room
	self chat.Membership
}

// visit reads what most requests are about.
//
// Errors: Unauthenticated; NotFound for a room that doesn't exist, or is the
// direct room of others: its ID can be computed, so it must tell nothing.
func (f *Function) visit(r *http.Request) (visit, error) {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return visit{}, err
	}
	v := visit{user: claims.User}
	id := chat.RoomID(r.PathValue("room"))
	if !id.Valid() {
		return v, errNoRoom
	}
	v.room, err = f.rooms.Room(r.Context(), id)
	if chat.KindOf(err) == chat.NotFound {
		return v, errNoRoom
	}
	if err != nil {
		return v, fmt.Errorf("reading a room: %w", err)
	}
	v.self, err = f.membership(r.Context(), id, v.user)
	if err != nil {
		return v, err
	}
	if v.room.Kind == chat.Direct && v.self.User == "" {
		return v, errNoRoom
	}
	return v, nil
}

// inside is as visit, for members only. Errors: Forbidden for anybody else.
func (f *Function) inside(r *http.Request) (visit, error) {
	v, err := f.visit(r)
	if err == nil && !v.self.Active {
		err = errOutside
	}
	return v, err
}

// membership is a user's relation to a room, zero if there never was any.
func (f *Function) membership(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	return membership(ctx, f.rooms, room, user)
}

func membership(ctx context.Context, rooms chat.RoomStore, room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	if !user.Valid() {
		return chat.Membership{}, nil
	}
	m, err := rooms.Membership(ctx, room, user)
	if chat.KindOf(err) == chat.NotFound {
		return chat.Membership{}, nil
	}
	if err != nil {
		return m, fmt.Errorf("reading a membership: %w", err)
	}
	return m, nil
}

// account is a user's account. Errors: NotFound.
func (f *Function) account(ctx context.Context, user chat.UserID) (chat.Account, error) {
	errNoUser := chat.Errorf(chat.NotFound, "no such user")
	if !user.Valid() {
		return chat.Account{}, errNoUser
	}
	a, err := f.accounts.Account(ctx, user)
	if chat.KindOf(err) == chat.NotFound {
		return a, errNoUser
	}
	if err != nil {
		return a, fmt.Errorf("reading an account: %w", err)
	}
	return a, nil
}

func (f *Function) create(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	name, err := decodeName(w, r)
	if err != nil {
		return err
	}
	owner, err := f.account(r.Context(), claims.User)
	if err != nil {
		return err
	}
	if err := f.roomFor(r.Context(), owner.ID); err != nil {
		return err
	}
	room := chat.Room{ID: names.NewRoom(), Name: name, Kind: chat.Group, Created: chat.Now()}
	created, err := chat.NewEvent(names.NewEvent(), owner.ID, chat.RoomCreated, room.ID, chat.RoomData{Name: name, Kind: room.Kind})
	if err != nil {
		return err
	}
	joined, err := memberEvent(owner.ID, chat.MemberJoined, room.ID, owner.ID, owner.Nickname, chat.Owner)
	if err != nil {
		return err
	}
	if err := members.Publish(r.Context(), f.log, f.rooms, created, joined); err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/rooms/"+string(room.ID))
	made := view.RoomOf(room, chat.Membership{Role: chat.Owner})
	made.Members = 1
	serve.JSON(w, http.StatusCreated, made)
	return nil
}

func decodeName(w http.ResponseWriter, r *http.Request) (string, error) {
	var in struct{ Name string }
	if err := serve.Decode(w, r, &in); err != nil {
		return "", err
	}
	return names.Clean("name", in.Name, maxName)
}

// direct opens the one room of the caller and another user: 201 when it has been
// made, 200 when it was there. Whoever of the two has left it is in it again.
func (f *Function) direct(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	var in struct{ User chat.UserID }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	if in.User == claims.User {
		return chat.Errorf(chat.Invalid, "a direct room is with somebody else")
	}
	status := http.StatusOK
	id := names.Direct(claims.User, in.User)
	var events []chat.Event
	room, err := f.rooms.Room(r.Context(), id)
	switch {
	case chat.KindOf(err) == chat.NotFound:
		status = http.StatusCreated
		room = chat.Room{ID: id, Kind: chat.Direct, Created: chat.Now()}
		e, err := chat.NewEvent(names.NewEvent(), claims.User, chat.RoomCreated, id, chat.RoomData{Kind: chat.Direct})
		if err != nil {
			return err
		}
		events = append(events, e)
	case err != nil:
		return fmt.Errorf("reading a room: %w", err)
	}
	for _, user := range []chat.UserID{claims.User, in.User} {
		account, err := f.account(r.Context(), user)
		if err != nil {
			return err
		}
		m, err := f.membership(r.Context(), id, user)
		if err != nil {
			return err
		}
		if m.Active {
			continue
		}
		if user != claims.User {
			if err := f.mayInvite(w, r, claims.User, user); err != nil {
				return err
			}
		}
		if err := f.roomFor(r.Context(), user); err != nil {
			return err
		}
		e, err := memberEvent(claims.User, chat.MemberJoined, id, user, account.Nickname, chat.Plain)
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if err := members.Publish(r.Context(), f.log, f.rooms, events...); err != nil {
		return err
	}
	self, err := f.membership(r.Context(), id, claims.User)
	if err != nil {
		return err
	}
	return f.answer(w, r, status, visit{user: claims.User, room: room, self: self})
}
