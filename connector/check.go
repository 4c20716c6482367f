package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/internal/serve"
)

// checker asks whether events that refer to something in their rooms may be logged. It
// asks where the rooms are known, the history function, and keeps nothing.
type checker struct {
	functions edge.Functions
	timeout   time.Duration
}

// check has those of a user's events checked that refer to something. An event may have
// other data afterwards; or it has a sequence, and is acknowledged by that without being
// logged, as it changes nothing. Errors: NotFound, Forbidden, Conflict, Invalid,
// Unavailable.
func (c *checker) check(ctx context.Context, token string, events ...*chat.Event) error {
	var asked []*chat.Event
	var batch []chat.Event
	for _, e := range events {
		if e.Sequence == 0 && e.Refers() {
			asked, batch = append(asked, e), append(batch, *e)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	verdicts, err := c.ask(ctx, token, batch)
	if err != nil {
		return err
	}
	if len(verdicts) != len(asked) {
		return chat.Errorf(chat.Unavailable, "%d of %d events were checked", len(verdicts), len(asked))
	}
	for i, e := range asked {
		e.Sequence = verdicts[i].Sequence
		if len(verdicts[i].Data) == 0 {
			continue
		}
		e.Data = verdicts[i].Data
		if err := chat.CheckSent(e); err != nil { // and so it is in the canonical form
			return err
		}
	}
	return nil
}

// verdict is what is to be done with an event, see [knatter.dev/chat/internal/messages.Verdict].
type verdict struct {
	Data     json.RawMessage `json:"data"`
	Sequence chat.Sequence   `json:"sequence"`
}

func (c *checker) ask(ctx context.Context, token string, events []chat.Event) ([]verdict, error) {
	body := chat.AppendBatch(nil, events)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://history/internal/check", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("history request: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	resp, err := c.functions.Call("history", r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = edge.ReadAll(resp); err != nil {
		return nil, chat.Errorf(chat.Unavailable, "history: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		p := serve.Problem{Status: resp.StatusCode}
		_ = json.Unmarshal(body, &p) // of what is no problem document, the status is all there is
		return nil, p.Err()
	}
	var answer struct {
		Checks []verdict `json:"checks"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, chat.Errorf(chat.Unavailable, "history: %w", err)
	}
	return answer.Checks, nil
}
