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

// remote is an event function reached over HTTP.
type remote struct {
	url     string
	callers *auth.Callers
	client  *http.Client
	single  atomic.Bool // the function has refused a batch by 415
}

var _ chat.Handler = (*remote)(nil)

// HTTP returns the function at url as a handler. It sends a single event as a POST in
// binary mode, as KafkaSource does, with the attributes sequence and partitionkey. If
// the function refuses the headers by 431, it sends the event in structured mode. It
// sends several events as a batch of at most [serve.MaxBody] bytes, unless the function
// has refused one by 415.
//
// A 4xx other than 408 and 429 means never. Anything else but 2xx can be retried, and
// so can a 401 that concerns the caller instead of the event. callers has the secret to
// show.
func HTTP(url string, callers *auth.Callers) chat.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns // one for each batch in flight
	return &remote{url: url, callers: callers, client: &http.Client{
		Transport: transport,
		// A redirect could lead to another host, which must not get our secret.
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

// originOf returns the origin of the first n events that are left of a batch.
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

// tooMuchHeader reports whether the function, or a proxy in front of it, refused the
// event because its attributes are too long for headers. That says nothing about the
// event itself.
func tooMuchHeader(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == http.StatusRequestHeaderFieldsTooLarge
}

// structured sends an event in structured mode, as a body only.
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

// join encodes as many of the events as fit into one request, at least one, and returns
// their number.
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

// request returns the request for n events encoded in body, or for the first event
// alone.
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
	// The body of a refusal goes to the dead letters, as far as it can be read.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorData))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	if auth.Challenged(resp) {
		return chat.Errorf(chat.Unavailable, "the function does not accept KNATTER_CALLER_SECRET")
	}
	if resp.StatusCode == http.StatusUnsupportedMediaType {
		f.single.Store(true)
	}
	return &refusal{status: resp.StatusCode, body: string(body)}
}

// refusal is an answer other than 2xx. Its body must not be logged.
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
