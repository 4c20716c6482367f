package serve

import (
	"context"
	"net/http"
	"strconv"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Attributes that KafkaSource adds to each record.
const (
	extKafkaOffset    = "knativekafkaoffset"
	extKafkaPartition = "knativekafkapartition"
)

// Events makes h an HTTP event function: POST of one CloudEvent, binary or
// structured, or of a batch, answered by 204 when h is done with it, or by a
// problem document. The position comes as the attribute sequence, or as
// knativekafkaoffset, whose generation lineage tells, anew for each request: the
// function may be older than the log. Where the events were in the log and how far
// the caller is there comes as [OriginHeader], or as these attributes.
func Events(h chat.Handler, lineage Lineage) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			refuseMethod(w, http.MethodPost)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		events, err := DecodeEvents(r)
		if err == nil {
			err = place(r, events, lineage)
		}
		if err == nil {
			err = h.HandleEvents(r.Context(), events)
		}
		if err != nil {
			Fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// Lineage returns the log's generations, as of now. Where it is nil, callers tell the
// sequence.
type Lineage func(context.Context) (chat.Lineage, error)

// of is as Lineage. Errors: Unavailable while nobody has looked at the log yet.
func (l Lineage) of(ctx context.Context) (known chat.Lineage, err error) {
	if l == nil {
		return known, nil
	}
	if known, err = l(ctx); err == nil && known.Log == "" {
		err = chat.Errorf(chat.Unavailable, "nobody has looked at the log yet: \"admin topics\" does, or a connector that starts")
	}
	return known, err
}

// place sets what a source says with other words: the stream, the sequence and where
// that is in the log, and checks that the events are such as the log has.
func place(r *http.Request, events []chat.Event, lineage Lineage) error {
	origin, err := originOf(r.Header)
	if err != nil {
		return err
	}
	var known chat.Lineage
	for i := range events {
		e := &events[i]
		e.Origin = origin
		if e.Stream == "" {
			e.Stream = chat.StreamID(e.Room)
		}
		if !e.Addressed() {
			return chat.Errorf(chat.Invalid, "subject and partitionkey must be a room's id")
		}
		signal := e.Type.Signal()
		placed := e.Sequence != 0 || signal
		if _, ok := e.Extensions[extKafkaOffset]; ok && !signal { // where the record is: nothing else knows better
			if known.Log == "" {
				if known, err = lineage.of(r.Context()); err != nil {
					return err
				}
			}
			if err := placeRecord(e, known); err != nil {
				return err
			}
			placed = true // 0 is the hidden event that begins a partition
		}
		if signal { // it has no place in the log
			e.Sequence, e.Origin = 0, nil
		}
		if !placed {
			return chat.Errorf(chat.Invalid, "the event has neither sequence nor %s", extKafkaOffset)
		}
		delete(e.Extensions, extKafkaOffset)
		delete(e.Extensions, extKafkaPartition)
		delete(e.Extensions, auth.CallerAttribute) // KafkaSource's way to show it; fan-out must not pass it on
		if err := chat.CheckLogged(e); err != nil {
			return err
		}
	}
	return nil
}

// placeRecord sets the sequence of an event by the place of its record.
func placeRecord(e *chat.Event, known chat.Lineage) error {
	offset, err := strconv.ParseInt(e.Extensions[extKafkaOffset], 10, 48)
	if err != nil || offset < 0 {
		return chat.Errorf(chat.Invalid, "%s must be an offset", extKafkaOffset)
	}
	text, told := e.Extensions[extKafkaPartition]
	partition, err := strconv.ParseInt(text, 10, 32)
	if told && (err != nil || partition < 0) {
		return chat.Errorf(chat.Invalid, "%s must be a partition", extKafkaPartition)
	}
	e.Sequence = known.SequenceAt(int32(partition), offset)
	if told { // what is done below it, the source does not tell
		e.Origin = &chat.Origin{Partition: int32(partition), From: e.Sequence, To: e.Sequence + 1}
	}
	return nil
}
