package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/wait"
)

// handling processes batches: it calls the function, retries, and writes dead letters.
type handling struct {
	cfg     kafka.Config
	fn      chat.EventFunction
	target  chat.Handler
	opts    Options
	count   *counters
	produce func(context.Context, *kgo.Record) error // a dead letter
}

// batch handles records. It returns nil when each of them is done: handled, skipped, or
// written to the dead letters. Otherwise it was stopped: the end of ctx cancels the
// calls in flight, and the end of going stops everything between them. Below low, the
// partition was done before.
func (h *handling) batch(ctx, going context.Context, records []*kgo.Record, low int64) error {
	if h.fn.Topic == chat.TopicSignals {
		h.signals(ctx, records)
		return nil
	}
	events := make([]chat.Event, 0, len(records))
	origins := make([]*kgo.Record, 0, len(records))
	for _, r := range records {
		e, err := h.cfg.Event(r)
		if err != nil {
			if err := h.deadLetter(going, r, err); err != nil {
				return err
			}
			continue
		}
		// Sequence 0 is the hidden event at the start of a partition, and for nobody.
		if h.fn.Handles(e.Type) && e.Sequence != 0 {
			events = append(events, e)
			origins = append(origins, r)
		}
	}
	if len(events) == 0 {
		return nil
	}
	at := func(offset int64) chat.Sequence { return h.cfg.SequenceAt(records[0].Partition, offset) }
	origin := chat.Origin{Partition: records[0].Partition, Done: at(low), From: at(records[0].Offset), To: at(records[len(records)-1].Offset + 1)}
	for i := range events {
		events[i].Origin = &origin
	}
	if len(events) > 1 {
		err := h.try(ctx, events)
		if err == nil {
			return nil
		}
		h.opts.Logger.WarnContext(ctx, "batch failed, handling its events one by one", slog.Int("events", len(events)), slog.Any("error", err))
	}
	for i := range events {
		one := origin // up to the next event
		if i > 0 {
			one.From = events[i].Sequence
		}
		if i+1 < len(events) {
			one.To = events[i+1].Sequence
		}
		events[i].Origin = &one
		if err := h.alone(ctx, going, events[i:i+1], origins[i]); err != nil {
			return err
		}
	}
	return nil
}

// signals passes the signals among records to the function, once.
func (h *handling) signals(ctx context.Context, records []*kgo.Record) {
	var events []chat.Event
	for _, r := range records {
		if e, err := h.cfg.Event(r); err == nil {
			events = append(events, e)
		}
	}
	dropped := len(records) - len(events)
	if len(events) > 0 && h.try(ctx, events) != nil {
		dropped = len(records)
	}
	h.count.dropped.Add(float64(dropped))
}

// alone handles one event, with retries, until it is done.
func (h *handling) alone(ctx, going context.Context, event []chat.Event, origin *kgo.Record) error {
	for try := 1; ; try++ {
		if err := going.Err(); err != nil {
			return err
		}
		err := h.try(ctx, event)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if chat.KindOf(err).Never() || try == h.opts.MaxTries {
			return h.deadLetter(going, origin, err)
		}
		pause := h.opts.backoff(try)
		h.count.retried.Inc()
		h.opts.Logger.WarnContext(ctx, "event failed, will retry",
			slog.String("type", string(event[0].Type)), slog.Any("stream", event[0].Stream), slog.String("sequence", event[0].Sequence.String()),
			slog.Int("try", try), slog.Duration("pause", pause), slog.Any("error", err))
		if !wait.For(pause, going.Done()) {
			return going.Err()
		}
	}
}

// try calls the function once. A panic counts as an error.
func (h *handling) try(ctx context.Context, events []chat.Event) error {
	ctx, cancel := context.WithTimeout(ctx, h.opts.TryTimeout)
	defer cancel()
	err := guard.Call(ctx, h.opts.Logger, "the function", func() error { return h.target.HandleEvents(ctx, events) })
	if err != nil {
		return err
	}
	h.count.handled.Add(float64(len(events)))
	return nil
}

// maxErrorData is the maximum length of the reason in a dead letter, in bytes.
const maxErrorData = 1024

// deadLetter writes a record to the dead letters as it came, with the reason. It tries
// until that succeeds or going ends.
func (h *handling) deadLetter(going context.Context, r *kgo.Record, cause error) error {
	dest := "function:" + h.fn.Name
	if at, ok := h.target.(*remote); ok {
		dest = at.url
	}
	code, data := serve.ProblemOf(cause).Status, cause.Error()
	if refused := (*refusal)(nil); errors.As(cause, &refused) {
		code, data = refused.status, refused.body
	}
	dead := h.cfg.DeadLetter(r, kafka.Failure{Function: h.fn.Name, Dest: dest, Code: code, Data: attribute(data)})
	for try := 1; ; try++ {
		err := h.produce(going, dead)
		if err == nil {
			h.count.dead.Inc()
			h.opts.Logger.ErrorContext(going, "dead letter", slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset), slog.Int("code", code), slog.Any("error", cause))
			return nil
		}
		if going.Err() != nil {
			return going.Err()
		}
		h.opts.Logger.ErrorContext(going, "writing a dead letter failed, will retry", slog.Any("error", err))
		if !wait.For(h.opts.backoff(try), going.Done()) {
			return going.Err()
		}
	}
}

// attribute makes s a valid CloudEvents attribute.
func attribute(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || 0x7f <= r && r <= 0x9f {
			return ' '
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), maxErrorData)], "")
}

// backoff returns the pause after a try, counted from 1: a random time between half and
// all of a limit that doubles with each try.
func (o Options) backoff(try int) time.Duration {
	d := o.MaxBackoff
	if shift := try - 1; shift < 20 && o.MinBackoff<<shift < d {
		d = o.MinBackoff << shift
	}
	return d/2 + rand.N(d/2+1)
}
