package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/serve"
)

// remote is an event function that is served by HTTP.
type remote struct {
	url     string
	callers *auth.Callers
	client  *http.Client
	single  atomic.Bool // it has answered that it takes no batches
}

var _ chat.Handler = (*remote)(nil)

// HTTP is the function at url. A single event comes to it as a POST in binary mode,
// as KafkaSource does it, with the attributes sequence and partitionkey, or in
// structured mode if its headers are refused by 431; several as
// a batch of at most [serve.MaxBody] bytes, unless it has refused one by 415. A 4xx
// other than 408 and 429 means "never"; anything else but 2xx is retryable, and so
// is a 401 that says that it is not about the event, but about us: callers has the
// secret that we show.
func HTTP(url string, callers *auth.Callers) chat.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns // one for each batch under way
	return &remote{url: url, callers: callers, client: &http.Client{
		Transport: transport,
		// Elsewhere, our secret is nobody's business.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// HandleEvents implements [chat.Handler], in the events' order.
func (f *remote) HandleEvents(ctx context.Context, events []chat.Event) error {
	for begun := false; len(events) > 0; begun = true {
		n := 1
		var body []byte
		if len(events) > 1 && !f.single.Load() {
			body, n = join(events)
		}
		origin := originOf(events, n, begun)
		r, err := f.request(ctx, body, &events[0], n)
		if err != nil {
			return err
		}
		serve.SetOrigin(r.Header, origin)
		err = f.send(r)
		if n == 1 && tooMuchHeader(err) {
			err = f.structured(ctx, &events[0], origin)
		}
		if err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// originOf is where the first n of the events were that are left of a batch.
func originOf(events []chat.Event, n int, begun bool) *chat.Origin {
	if events[0].Origin == nil {
		return nil
	}
	origin := *events[0].Origin
	if begun {
		origin.From = events[0].Sequence
	}
	if n < len(events) {
		origin.To = events[n].Sequence
	}
	return &origin
}

// tooMuchHeader reports whether a function, or what is in front of it, takes the
// event's attributes for too long to be headers, which says nothing of the event.
func tooMuchHeader(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == http.StatusRequestHeaderFieldsTooLarge
}

// structured sends an event as nothing but a body.
func (f *remote) structured(ctx context.Context, e *chat.Event, origin *chat.Origin) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(e.AppendFrame(nil)))
	if err != nil {
		return chat.Errorf(chat.Internal, "request to %s: %w", f.url, err)
	}
	r.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsJSON)
	serve.SetOrigin(r.Header, origin)
	f.callers.Show(r.Header)
	return f.send(r)
}

// join makes a batch of as many of the events as fit into one request, at least
// one, and says how many these are.
func join(events []chat.Event) (body []byte, n int) {
	body = append(body, '[')
	for i := range events {
		end := len(body)
		if i > 0 {
			body = append(body, ',')
		}
		if body = events[i].AppendFrame(body); i > 0 && len(body) >= serve.MaxBody {
			return append(body[:end], ']'), i
		}
	}
	return append(body, ']'), len(events)
}

// request is the request for n events, which are body, or for the first alone.
func (f *remote) request(ctx context.Context, body []byte, first *chat.Event, n int) (r *http.Request, err error) {
	if n > 1 {
		if r, err = http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body)); err == nil {
			r.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsBatchJSON)
		}
	} else if r, err = http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(first.Data)); err == nil {
		serve.SetEvent(r, first)
	}
	if err != nil {
		return nil, chat.Errorf(chat.Internal, "request to %s: %w", f.url, err)
	}
	f.callers.Show(r.Header)
	return r, nil
}

func (f *remote) send(r *http.Request) error {
	resp, err := f.client.Do(r)
	if err != nil {
		return chat.Errorf(chat.Unavailable, "%w", err)
	}
	defer resp.Body.Close()
	// Of a refusal, for the dead letters, as far as it can be read.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorData))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	if auth.Challenged(resp) {
		return chat.Errorf(chat.Unavailable, "the function does not take our KNATTER_CALLER_SECRET")
	}
	if resp.StatusCode == http.StatusUnsupportedMediaType {
		f.single.Store(true)
	}
	return &refusal{status: resp.StatusCode, body: string(body)}
}

// refusal is an answer other than 2xx. Its body is not for the logs.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d", r.status) }

func (r *refusal) Unwrap() error {
	kind := chat.Unavailable
	switch {
	case r.status == http.StatusRequestTimeout || r.status == http.StatusTooManyRequests:
	case r.status/100 == 4:
		kind = chat.Invalid
	}
	return chat.Errorf(kind, "status %d", r.status)
}
