package dispatch

import (
	"context"
	"fmt"
	"io"
	"net/http"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"knatter.dev/chat"
)

// remote is an event function that is served by HTTP.
type remote struct {
	url    string
	client *http.Client
}

var _ chat.Handler = (*remote)(nil)

// HTTP is the function at url, which gets each event as a POST in binary mode, as
// KafkaSource does it, with the attributes sequence and partitionkey. A 4xx
// other than 408 and 429 means "never"; anything else but 2xx is retryable. A nil
// client is [http.DefaultClient].
func HTTP(url string, client *http.Client) chat.Handler {
	if client == nil {
		client = http.DefaultClient
	}
	return &remote{url: url, client: client}
}

// HandleEvents implements [chat.Handler], one event after the other.
func (f *remote) HandleEvents(ctx context.Context, events []chat.Event) error {
	for i := range events {
		if err := f.post(ctx, &events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *remote) post(ctx context.Context, e *chat.Event) error {
	ce, err := e.CloudEvent()
	if err != nil {
		return chat.Errorf(chat.Malformed, "not a CloudEvent: %w", err)
	}
	r, err := cehttp.NewHTTPRequestFromEvent(ctx, f.url, ce)
	if err != nil {
		return chat.Errorf(chat.Internal, "request to %s: %w", f.url, err)
	}
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
