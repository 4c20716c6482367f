package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Events is the event store.
//
// A page that is read while a resent event gives way to its first can lack both:
// the index is read in order, and the event moves from in front of the reader to
// behind it. The next reading has the first.
type Events struct {
	all   *mongo.Collection
	exact *mongo.Collection
	marks *marks

	lives     *mongo.Collection
	reactions *mongo.Collection

	counts counts
}

var _ projection.Events = (*Events)(nil)

// eventDoc is an event. Beside its frame it has what queries ask for.
type eventDoc struct {
	ID       string        `bson:"_id"`
	Room     chat.RoomID   `bson:"room"`
	Sequence chat.Sequence `bson:"sequence"`
	Message  bool          `bson:"message"`
	Sender   chat.UserID   `bson:"sender"`
	Frame    string        `bson:"frame"`

	About   *messageOf      `bson:"about,omitempty"`   // what message the event is about
	Over    []chat.Sequence `bson:"over,omitempty"`    // messages that events were about which this one replaced, until that is taken back
	Mention *mention        `bson:"mention,omitempty"` // whom a message mentions now
	Gone    *gone           `bson:"gone,omitempty"`    // of a message that is deleted
	Life    int64           `bson:"life,omitempty"`    // the revision of its life that a message shows

	event *chat.Event
	about *projection.About
}

// messageOf is a message of a room.
type messageOf struct {
	Room    chat.RoomID   `bson:"room"`
	Message chat.Sequence `bson:"message"`
}

// mention is what of a message is looked for by those whom it mentions, apart from the
// rest: so others are not in the index.
type mention struct {
	Room     chat.RoomID   `bson:"room"`
	Sequence chat.Sequence `bson:"sequence"`
	Sender   chat.UserID   `bson:"sender"`
	Users    []chat.UserID `bson:"users"`
}

// gone is what of a deleted message takes it off those that were counted.
type gone struct {
	Room     chat.RoomID   `bson:"room"`
	Sequence chat.Sequence `bson:"sequence"`
	Sender   chat.UserID   `bson:"sender"`
}

// mentionOf is nil if a message mentions nobody.
func mentionOf(posted *chat.Event, life *projection.Life) *mention {
	users := projection.Mentioned(posted, life)
	if len(users) == 0 {
		return nil
	}
	return &mention{Room: posted.Stream.Room(), Sequence: posted.Sequence, Sender: posted.User(), Users: users}
}

// replaces implements [replacing].
func (d *eventDoc) replaces(was claimed) {
	d.Over = was.Over
	if was.About.Message != 0 && !slices.Contains(d.Over, was.About.Message) {
		d.Over = append(slices.Clip(d.Over), was.About.Message)
	}
}

// Put implements [chat.EventStore]. Errors: Invalid for an event that could not be
// read again, or says about a message what nobody can read; TooLarge (nothing is stored
// then), Conflict, Unavailable.
func (e *Events) Put(ctx context.Context, events []chat.Event) error {
	var c claims
	var moved moves
	for i := range events {
		ev := &events[i]
		moved.add(ev.Origin, ev.Sequence)
		if !ev.Kept() {
			continue
		}
		d, err := eventDocOf(ev)
		if err != nil {
			return err
		}
		c.add(claim{id: d.ID, room: d.Room, sequence: d.Sequence, doc: d})
	}
	if err := c.put(ctx, e.all); err != nil {
		return err
	}
	if err := e.live(ctx, c.all); err != nil {
		return err
	}
	return e.marks.note(ctx, moved)
}

// eventDocOf makes an event's document. Errors: Invalid, TooLarge.
func eventDocOf(ev *chat.Event) (*eventDoc, error) {
	room := ev.Stream.Room()
	if !room.Valid() || ev.Sequence <= 0 {
		return nil, chat.Errorf(chat.Invalid, "the event has no room or no sequence")
	}
	// One frame that cannot be read again would spoil every page that it is on. This
	// also refuses control characters in what becomes part of the _id.
	if err := ev.Check(); err != nil {
		return nil, err
	}
	frame := ev.AppendFrame(make([]byte, 0, 384+len(ev.Data)))
	if err := checkContent(len(frame)); err != nil {
		return nil, err
	}
	d := &eventDoc{
		ID:       identity(room, ev.Source, ev.ID),
		Room:     room,
		Sequence: ev.Sequence,
		Message:  ev.Type == chat.MessagePosted,
		Sender:   ev.User(),
		Frame:    string(frame),
	}
	if !d.Sender.Valid() {
		d.Sender = ""
	}
	if d.Message {
		d.Mention = mentionOf(ev, new(projection.Life))
	}
	about, ok, err := projection.AboutOf(ev)
	if ok {
		d.event, d.about = ev, &about
		d.About = &messageOf{room, about.Message}
	}
	return d, err
}

// Events implements [chat.EventStore]. Both sorts of event are ranges of one index,
// which the server reads side by side. Errors: Invalid without a limit,
// Unavailable.
func (e *Events) Events(ctx context.Context, room chat.RoomID, r chat.Range) ([]chat.Event, bool, error) {
	return e.page(ctx, room, r, false, true)
}

// Messages implements [chat.EventStore]. Errors: as Events.
func (e *Events) Messages(ctx context.Context, room chat.RoomID, r chat.Range) ([]chat.Event, bool, error) {
	return e.page(ctx, room, r, true)
}

func (e *Events) page(ctx context.Context, room chat.RoomID, r chat.Range, message ...any) (events []chat.Event, more bool, err error) {
	if r.Limit <= 0 {
		return nil, false, chat.Errorf(chat.Invalid, "limit must be positive")
	}
	if !room.Valid() {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	order := ascending("sequence")
	if r.Newest {
		order = descending("sequence")
	}
	events, more, err = e.read(ctx, e.exact,
		bson.D{{Key: "room", Value: room}, among("message", message), within(r)}, order, r.Limit, r.Bytes)
	if err != nil {
		return nil, false, err
	}
	if r.Newest {
		slices.Reverse(events)
	}
	return events, more, nil
}

// within is the condition that a sequence is in a range.
func within(r chat.Range) bson.E {
	sequences := bson.D{{Key: "$gt", Value: r.After}}
	if r.Before > 0 {
		sequences = append(sequences, bson.E{Key: "$lt", Value: r.Before})
	}
	return bson.E{Key: "sequence", Value: sequences}
}

// readBatch is how many events of a page with a bound in bytes come in one answer of
// the server, so that what is beyond the bound is not sent.
const readBatch = 64

// read returns the events that a query has, in its order: at most limit, and one or
// more of at most so many bytes, unless that is 0; and whether there are more.
func (e *Events) read(ctx context.Context, from *mongo.Collection, filter bson.D, order bson.D, limit, bytes int) (events []chat.Event, more bool, err error) {
	opts := limited(limit + 1)
	if bytes > 0 {
		opts.SetBatchSize(int32(min(limit+1, readBatch)))
	}
	cursor, err := from.Find(ctx, filter, opts.SetSort(order).SetProjection(bson.D{{Key: "frame", Value: 1}, {Key: "_id", Value: 0}}))
	if err != nil {
		return nil, false, failure(err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	size := 0
	for cursor.Next(ctx) {
		var row struct {
			Frame string `bson:"frame"`
		}
		if err := cursor.Decode(&row); err != nil {
			return nil, false, failure(err)
		}
		size += len(row.Frame)
		if len(events) == limit || bytes > 0 && len(events) > 0 && size > bytes {
			return events, true, nil
		}
		event, err := chat.DecodeFrame([]byte(row.Frame))
		if err != nil {
			return nil, false, chat.Errorf(chat.Internal, "store: an event is damaged: %w", err)
		}
		events = append(events, event)
	}
	if err := cursor.Err(); err != nil {
		return nil, false, failure(err)
	}
	return events, false, nil
}

// Firsts implements [chat.EventStore]. Errors: Unavailable.
func (e *Events) Firsts(ctx context.Context, events []chat.Event) ([]chat.Sequence, error) {
	firsts := make([]chat.Sequence, len(events))
	if len(events) == 0 {
		return firsts, nil
	}
	ids, rooms := make(bson.A, len(events)), make(bson.A, len(events))
	for i := range events {
		room := events[i].Stream.Room()
		ids[i], rooms[i] = identity(room, events[i].Source, events[i].ID), room
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stored, err := storedUnder(ctx, e.all, ids, rooms)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		firsts[i] = stored[id.(string)].Sequence
	}
	return firsts, nil
}

// At implements [chat.EventStore]: one query. Errors: Unavailable.
func (e *Events) At(ctx context.Context, room chat.RoomID, messages []chat.Sequence) ([]chat.Event, error) {
	if !room.Valid() || len(messages) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	where := bson.D{{Key: "room", Value: room}, {Key: "message", Value: true}, among("sequence", values(messages))}
	events, _, err := e.read(ctx, e.exact, where, ascending("sequence"), len(messages), 0)
	return events, err
}

// values are a list as a query takes it.
func values[V any](of []V) bson.A {
	list := make(bson.A, len(of))
	for i, v := range of {
		list[i] = v
	}
	return list
}

// scanBatch is how many messages Scan passes on at most at once.
const scanBatch = 256

// Scan implements [chat.EventStore]. Each batch is a query of its own, so that it
// can take as long as it wants: first the rest of a room, then the rooms behind it.
// Errors: f's, Unavailable.
func (e *Events) Scan(ctx context.Context, f func([]chat.Event) error) error {
	for _, message := range []bool{true, false} {
		if err := e.scanAll(ctx, message, f); err != nil {
			return err
		}
	}
	return nil
}

func (e *Events) scanAll(ctx context.Context, message bool, f func([]chat.Event) error) error {
	var room chat.RoomID
	var after chat.Sequence
	for rest := false; ; {
		where := bson.D{above("room", room), {Key: "message", Value: message}}
		if rest {
			where = bson.D{{Key: "room", Value: room}, {Key: "message", Value: message}, above("sequence", after)}
		}
		events, err := e.scan(ctx, where)
		if err != nil {
			return err
		}
		full := len(events) == scanBatch
		if len(events) > 0 {
			last := &events[len(events)-1]
			room, after = last.Stream.Room(), last.Sequence
		}
		events = slices.DeleteFunc(events, func(e chat.Event) bool { return !chat.Index.Handles(e.Type) })
		if len(events) > 0 {
			if err := f(events); err != nil {
				return err
			}
		}
		if !rest && !full {
			return nil
		}
		rest = full
	}
}

func (e *Events) scan(ctx context.Context, where bson.D) ([]chat.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	events, _, err := e.read(ctx, e.all, where, ascending("room", "sequence"), scanBatch, 0)
	return events, err
}
