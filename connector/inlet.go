package connector

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/serve"
)

// requests makes net/http's requests of fasthttp's, see [edge.Requests].
type requests interface {
	Request(rctx context.Context, ctx *fasthttp.RequestCtx) (*http.Request, error)
	WithBody(ctx *fasthttp.RequestCtx, r *http.Request, limit int, f func(*http.Request) error) error
}

// inlet is POST /v1/events, the CloudEvents HTTP binding.
type inlet struct {
	requests  requests
	verifier  *auth.Verifier
	shares    *shares
	publisher *publisher
	bodyBytes int           // of a batch
	batch     int           // events of a batch
	timeout   time.Duration // for all of a request
}

// serve implements [edge.Handler].
func (in *inlet) serve(rctx context.Context, ctx *fasthttp.RequestCtx) error {
	if !ctx.IsPost() {
		return edge.NotAllowed(http.MethodPost)
	}
	rctx, cancel := context.WithTimeout(rctx, in.timeout)
	defer cancel()
	r, err := in.requests.Request(rctx, ctx)
	if err != nil {
		return err
	}
	claims, err := in.verifier.Request(r) // before the body is read: who holds much of our memory must have logged in
	if err != nil {
		return err
	}
	return in.requests.WithBody(ctx, r, in.bodyBytes, func(r *http.Request) error { return in.publish(ctx, r, claims.User) })
}

// publish logs what a request has, all or none of it.
func (in *inlet) publish(ctx *fasthttp.RequestCtx, r *http.Request, user chat.UserID) error {
	events, err := serve.DecodeSent(r, in.publisher.frameBytes)
	if err != nil {
		return err
	}
	if len(events) > in.batch {
		return chat.Errorf(chat.TooLarge, "a batch may have %d events", in.batch)
	}
	if len(events) > 0 {
		if wait, err := in.shares.allow(r.Context(), user, len(events), int(r.ContentLength)); err != nil {
			if wait > 0 {
				ctx.Response.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			}
			return err
		}
	}
	token, _ := auth.Bearer(r.Header.Get("Authorization"))
	if err := in.publisher.appendAll(r.Context(), events, author{user: user, token: token}); err != nil {
		return err
	}
	acks := make([]ackData, len(events))
	for i := range events {
		acks[i] = ackData{Event: events[i].ID, Sequence: events[i].Sequence}
	}
	return edge.JSON(ctx, http.StatusAccepted, map[string]any{"acks": acks})
}
