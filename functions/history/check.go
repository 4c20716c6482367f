package history

import (
	"context"
	"net/http"
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/messages"
	"knatter.dev/chat/internal/serve"
)

// check says of a batch of a user's events, which refer to something in their rooms,
// whether they may be logged and how: see [messages.Look.Check]. Connectors ask, which
// have checked the events by themselves as far as they can; nobody else gets here, as no
// path of clients leads to it.
func (f *Function) check(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	events, err := serve.DecodeEvents(r)
	if err != nil {
		return err
	}
	tails, err := f.log.Tails(r.Context())
	if err != nil { // more than is worth reading for all rooms
		tails = nil
	}
	looks := make(map[chat.RoomID]*messages.Look)
	verdicts := make([]messages.Verdict, len(events))
	for i := range events {
		e := &events[i]
		look := looks[e.Room]
		if look == nil {
			if look, err = f.lookAt(r.Context(), claims.User, e.Room, tails, events); err != nil {
				return err
			}
			looks[e.Room] = look
		}
		if verdicts[i], err = f.verdict(r.Context(), look, e); err != nil {
			return err
		}
	}
	serve.JSON(w, http.StatusOK, struct {
		Checks []messages.Verdict `json:"checks"`
	}{verdicts})
	return nil
}

// lookAt is a user's look at a room with all that was acknowledged before and says
// anything about the events. Without tails the room's own is read.
func (f *Function) lookAt(ctx context.Context, user chat.UserID, room chat.RoomID, tails chat.Tails, events []chat.Event) (*messages.Look, error) {
	look := &messages.Look{Events: f.events, Rooms: f.rooms, Room: room, User: user}
	var tail []chat.Event
	var err error
	if tails != nil {
		tail = tails.Of(room.Stream())
	} else if tail, err = f.tail(ctx, room); err != nil {
		return nil, err
	}
	look.Fresh, err = messages.FreshFor(ctx, f.events, tail, slices.DeleteFunc(slices.Clone(events), func(e chat.Event) bool { return e.Room != room }))
	return look, err
}

// tail is one room's tail. A few are read at once: each takes as long as persist is
// behind, and those who ask come faster then than they are answered.
func (f *Function) tail(ctx context.Context, room chat.RoomID) (tail []chat.Event, err error) {
	err = f.inTurn(ctx, func() (err error) {
		tail, err = f.log.Tail(ctx, room.Stream())
		return err
	})
	return tail, err
}

func (f *Function) verdict(ctx context.Context, look *messages.Look, e *chat.Event) (messages.Verdict, error) {
	errOutside := chat.Errorf(chat.Forbidden, "not a member of the room")
	if err := chat.CheckSent(e); err != nil {
		return messages.Verdict{}, err
	}
	room, self, err := f.standing(ctx, e.Room, look.User)
	if chat.KindOf(err) == chat.NotFound || err == nil && !self.Active {
		return messages.Verdict{}, errOutside
	}
	if err != nil {
		return messages.Verdict{}, err
	}
	e.Source, e.Stream = chat.SourceOf(look.User), e.Room.Stream()
	return look.Check(ctx, e, room, self, f.windows)
}
