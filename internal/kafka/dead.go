package kafka

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Attributes of a dead letter: Knative's, which have the reason and the destination,
// and our own.
const (
	attrErrorDest = "knativeerrordest"
	attrErrorCode = "knativeerrorcode"
	attrErrorData = "knativeerrordata"
	attrPartition = "knativekafkapartition"
	attrOffset    = "knativekafkaoffset"
	attrFunction  = "knatterfunction"
	attrSequence  = "sequence"

	attribute = "ce_" // prefix of their names as headers
)

// typeReplayed is the type of a record that marks a dead letter as replayed.
const typeReplayed chat.Type = chat.Prefix + "deadletter.replayed"

// Failure says why a function has refused an event for good.
type Failure struct {
	Function string // its name, if it is known
	Dest     string // where the function was called
	Code     int    // HTTP status
	Data     string // the function's answer
}

// DeadLetter returns the record for chat.dead of a record of chat.rooms: the original,
// with the failure and the event's partition, offset and sequence.
func (c Config) DeadLetter(r *kgo.Record, f Failure) *kgo.Record {
	dead := &kgo.Record{Topic: chat.TopicDead, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		switch strings.TrimPrefix(h.Key, attribute) {
		case attrErrorDest, attrErrorCode, attrErrorData, attrPartition, attrOffset, attrFunction, attrSequence:
		default:
			dead.Headers = append(dead.Headers, h)
		}
	}
	add := func(name, value string) {
		dead.Headers = append(dead.Headers, kgo.RecordHeader{Key: attribute + name, Value: []byte(value)})
	}
	add(attrErrorDest, f.Dest)
	add(attrErrorCode, strconv.Itoa(f.Code))
	add(attrErrorData, f.Data)
	add(attrPartition, strconv.Itoa(int(r.Partition)))
	add(attrOffset, strconv.FormatInt(r.Offset, 10))
	add(attrFunction, f.Function)
	add(attrSequence, c.SequenceAt(r.Partition, r.Offset).String())
	return dead
}

// Letter is a dead letter.
type Letter struct {
	Partition int32 // of chat.dead
	Offset    int64
	Time      time.Time // when the function refused it
	Failure
	Event    chat.Event // with its stream and sequence
	Invalid  error      // why Event cannot be passed to a function; nil if it can
	Replayed bool       // passed to its function again, which is done with it
}

// letter decodes a dead letter, written by us or by Knative's sources.
func (c Config) letter(r *kgo.Record) Letter {
	l := Letter{Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp}
	for _, h := range r.Headers {
		switch h.Key {
		case attribute + attrErrorDest:
			l.Dest = string(h.Value)
		case attribute + attrErrorCode:
			l.Code, _ = strconv.Atoi(string(h.Value)) // 0 if not a number
		case attribute + attrErrorData:
			l.Data = string(h.Value)
		case attribute + attrFunction:
			l.Function = string(h.Value)
		}
	}
	headers := make([]chat.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = chat.Header{Key: h.Key, Value: h.Value}
	}
	if l.Event, l.Invalid = chat.DecodeRecord(headers, r.Value); l.Invalid == nil {
		l.Invalid = c.restore(&l.Event, r.Key)
	}
	return l
}

// restore gives the event of a dead letter its stream and its sequence, and removes the
// attributes of a dead letter. Errors: Invalid.
func (c Config) restore(e *chat.Event, key []byte) error {
	if offset, ok := e.Extensions[attrOffset]; ok {
		n, err := strconv.ParseInt(offset, 10, 48)
		if err != nil || n < 0 {
			return chat.Errorf(chat.Invalid, "%s is not an offset", attrOffset)
		}
		// Our own letters have the generation, too.
		if e.Sequence == 0 || e.Sequence.Offset() != n {
			partition, err := strconv.ParseInt(e.Extensions[attrPartition], 10, 32)
			if err != nil {
				partition = 0
			}
			e.Sequence = c.SequenceAt(int32(partition), n)
		}
	}
	for _, name := range []string{attrErrorDest, attrErrorCode, attrErrorData, attrPartition, attrOffset, attrFunction, auth.CallerAttribute} {
		delete(e.Extensions, name)
	}
	if len(e.Extensions) == 0 {
		e.Extensions = nil
	}
	e.Stream = cmp.Or(chat.StreamID(key), e.Stream, chat.StreamID(e.Room))
	switch {
	case !e.Addressed():
		return chat.Errorf(chat.Invalid, "key and subject must be a room's id")
	case e.Sequence == 0:
		return chat.Errorf(chat.Invalid, "neither sequence nor offset of the event is known")
	}
	return nil
}

// replayed is the data of a record of typeReplayed.
type replayed struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// DeadLetters calls f for each dead letter, oldest first in each partition of
// chat.dead, up to the ends of the partitions at the call. It stops if f fails. Errors:
// those of f, Unavailable.
func DeadLetters(ctx context.Context, c Config, f func(Letter) error) error {
	done := make(map[replayed]bool)
	// Read twice, since the mark that a letter was replayed comes after it. This way no
	// more than one fetch is in memory.
	err := c.readDead(ctx, func(r *kgo.Record) error {
		if said, ok := readReplayed(r); ok {
			done[said] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.readDead(ctx, func(r *kgo.Record) error {
		if _, ok := readReplayed(r); ok {
			return nil
		}
		l := c.letter(r)
		l.Replayed = done[replayed{l.Partition, l.Offset}]
		return f(l)
	})
}

func readReplayed(r *kgo.Record) (said replayed, ok bool) {
	for _, h := range r.Headers {
		if h.Key == attribute+"type" && chat.Type(h.Value) == typeReplayed {
			e := chat.Event{Type: typeReplayed, Data: r.Value}
			return said, e.Decode(&said) == nil
		}
	}
	return said, false
}

// SetReplayed durably marks a letter as replayed. Errors: Unavailable.
func SetReplayed(ctx context.Context, c Config, l Letter) error {
	client, err := newClient(c, kgo.RecordDeliveryTimeout(c.withDefaults().Timeout))
	if err != nil {
		return err
	}
	defer client.Close()
	r := record(&chat.Event{
		ID: fmt.Sprintf("replayed-%d-%d", l.Partition, l.Offset), Source: "/admin", Type: typeReplayed,
		Room: "log", Stream: "log", Time: chat.Now(),
		Data: fmt.Appendf(nil, `{"partition":%d,"offset":%d}`, l.Partition, l.Offset),
	})
	r.Topic = chat.TopicDead
	return failure("dead letter", client.ProduceSync(ctx, r).FirstErr())
}

// readDead calls f for each record of chat.dead up to its end.
func (c Config) readDead(ctx context.Context, f func(*kgo.Record) error) error {
	client, err := newClient(c, kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := c.deadEnds(ctx, client)
	if err != nil {
		return err
	}
	from := make(map[int32]kgo.Offset, len(left))
	for partition := range left {
		from[partition] = kgo.NewOffset().AtStart()
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{chat.TopicDead: from})
	for len(left) > 0 {
		poll, cancel := c.bounded(ctx)
		fetches := client.PollFetches(poll)
		cancel()
		for _, failed := range fetches.Errors() {
			return failure("reading "+chat.TopicDead, failed.Err)
		}
		for r := range fetches.RecordsAll() {
			end, wanted := left[r.Partition]
			if !wanted {
				continue
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				if err := f(r); err != nil {
					return err
				}
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// deadEnds returns the ends of the partitions of chat.dead that are not empty.
func (c Config) deadEnds(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, chat.TopicDead)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, startFailure("start of "+chat.TopicDead, err)
	}
	ends, err := admin.ListEndOffsets(ctx, chat.TopicDead)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, startFailure("end of "+chat.TopicDead, err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if start, ok := starts.Lookup(o.Topic, o.Partition); ok && start.Offset < o.Offset {
			left[o.Partition] = o.Offset
		}
	})
	return left, nil
}
