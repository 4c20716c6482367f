package connector

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/serve"
)

// ackData is the data of an ack, and one of the acks of POST /v1/events.
type ackData struct {
	Event    string        `json:"event"`
	Sequence chat.Sequence `json:"sequence"`
}

// publish logs a room event and answers when it is acknowledged.
func (s *session) publish(e chat.Event) {
	user, member := s.user(), s.subs.follows(e.Room)
	if err := s.c.prepare(&e, user, member); err != nil {
		s.refuse(e.ID, err)
		return
	}
	if e.Sequence != 0 {
		s.acknowledge(&e)
		return
	}
	if s.c.draining.Load() {
		s.refused(e.ID, "", chat.Errorf(chat.Unavailable, "draining"))
		return
	}
	s.pause(s.c.shares.room(e.Room, len(e.Data)))
	if err := s.c.sent.note(user, &e); err != nil {
		s.refuse(e.ID, err)
		return
	}
	s.appending()
	start := time.Now()
	s.c.log.AppendAsync(s.c.ctx, &e, func(err error) {
		if err != nil {
			s.refused(e.ID, "", err)
		} else {
			s.c.metrics.acked.Observe(time.Since(start).Seconds())
			e.Sequence = s.c.sent.acked(user, &e)
			s.acknowledge(&e)
		}
		s.answered()
	})
}

// acknowledge sends an ack. There is one for every event, so its data is put
// together here rather than by reflection.
func (s *session) acknowledge(e *chat.Event) {
	id, err := json.Marshal(e.ID)
	if err != nil {
		s.c.logger.Error("own frame", "type", chat.Ack.Short(), "error", err)
		return
	}
	data := make([]byte, 0, len(id)+48)
	data = append(append(data, `{"event":`...), id...)
	data = append(append(data, `,"sequence":"`...), e.Sequence.String()...)
	s.sendFrame(&chat.Event{ID: s.frameID(), Source: s.c.source, Type: chat.Ack, Time: chat.Now(), Data: append(data, `"}`...)})
}

// prepare checks a client's event and stamps what is not the client's to say.
// member is true when the user is known to be in the room. The event has a
// sequence afterwards if it was acknowledged before: then it is not to be logged
// again, whatever has happened since. Errors: Invalid, Forbidden, Conflict,
// TooLarge, Unavailable.
func (c *Connector) prepare(e *chat.Event, user chat.UserID, member bool) error {
	if err := c.stamp(e, user); err != nil {
		return err
	}
	sequence, err := c.sent.known(user, e)
	if err != nil {
		return err
	}
	if e.Sequence = sequence; sequence != 0 {
		return nil
	}
	return c.permit(e, user, member)
}

// stamp checks what a client's event says, and says what is not the client's to say.
// Errors: as [chat.CheckSent], TooLarge.
func (c *Connector) stamp(e *chat.Event, user chat.UserID) error {
	if err := chat.CheckSent(e); err != nil {
		return err
	}
	for name := range e.Extensions {
		if strings.HasPrefix(name, "knative") { // what a source or a channel would say of the event
			delete(e.Extensions, name)
		}
	}
	e.Source, e.Stream, e.Time, e.Sequence = chat.SourceOf(user), e.Room.Stream(), chat.Now(), 0
	if !e.FrameWithin(c.cfg.FrameBytes) { // what was sent may be shorter than what is delivered
		return chat.Errorf(chat.TooLarge, "as it would be delivered the event is over %d bytes", c.cfg.FrameBytes)
	}
	return nil
}

// permit refuses an event of who is not a member of its room. member is true when the
// user is known to be one. Errors: Forbidden, Unavailable.
func (c *Connector) permit(e *chat.Event, user chat.UserID, member bool) error {
	if member {
		return nil
	}
	m, err := c.membership(c.ctx, e.Room, user)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return chat.Errorf(chat.Unavailable, "membership: %w", err)
	}
	if err != nil || !m.Active {
		return chat.Errorf(chat.Forbidden, "not a member of the room")
	}
	return nil
}

// publishHTTP is POST /v1/events, the CloudEvents HTTP binding. Events are logged
// in their order; when one is against the rules none is.
func (c *Connector) publishHTTP(ctx *fasthttp.RequestCtx, r *http.Request, claims auth.Claims) error {
	events, err := serve.DecodeSent(r, c.cfg.FrameBytes)
	if err != nil {
		return err
	}
	if most := min(c.cfg.Burst, c.cfg.UserBurst); len(events) > most {
		return chat.Errorf(chat.TooLarge, "a batch may have %d events", most)
	}
	if len(events) > 0 {
		if wait, err := c.allowHTTP(r.Context(), claims.User, len(events), int(r.ContentLength)); err != nil {
			if wait > 0 {
				ctx.Response.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			}
			return err
		}
	}
	acks, err := c.appendAll(r, claims, events)
	if err != nil {
		return err
	}
	c.json(ctx, http.StatusAccepted, map[string]any{"acks": acks})
	return nil
}

func (c *Connector) appendAll(r *http.Request, claims auth.Claims, events []chat.Event) ([]ackData, error) {
	fresh := make([]*chat.Event, 0, len(events))
	for i := range events {
		if events[i].Type.Signal() {
			return nil, chat.Errorf(chat.Invalid, "signals are sent over a socket")
		}
		if err := c.prepare(&events[i], claims.User, false); err != nil {
			return nil, err
		}
		if events[i].Sequence == 0 {
			fresh = append(fresh, &events[i])
		}
	}
	if c.draining.Load() {
		return nil, chat.Errorf(chat.Unavailable, "draining")
	}
	if err := c.sent.note(claims.User, fresh...); err != nil {
		return nil, err
	}
	if err := c.log.Append(r.Context(), fresh...); err != nil {
		return nil, err
	}
	for _, e := range fresh {
		e.Sequence = c.sent.acked(claims.User, e)
	}
	acks := make([]ackData, len(events))
	for i := range events {
		acks[i] = ackData{Event: events[i].ID, Sequence: events[i].Sequence}
	}
	return acks, nil
}
