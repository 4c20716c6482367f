package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

// socketAttacks are those that come by WebSocket.
var socketAttacks = []attack{
	{name: "socket-pongs", does: "8 sockets send pongs as fast as they can",
		holds: "each is closed with 4429 within 10 s", run: floods(frame(final|pong, nil))},
	{name: "socket-pings", does: "8 sockets send pings as fast as they can",
		holds: "each is closed with 4429 within 10 s", run: floods(frame(final|ping, []byte("hello")))},
	{name: "socket-empty", does: "8 sockets send empty continuations of a message that never ends",
		holds: "each is closed with 4429 within 10 s", run: floods(frame(continuation, nil))},
	{name: "socket-drip", does: "50 sockets send a byte of a message a second, for ever",
		holds: "each is closed within 30 s", run: drips},
	{name: "socket-unknown", does: "8 sockets subscribe to 1,900 rooms that do not exist, again and again",
		holds: "each is closed with 4429", run: unknown},
	{name: "socket-bytes", does: "50 sockets of one user write the largest messages as fast as they can",
		holds: "below 64 MiB are taken", run: writes},
	{name: "socket-replays", does: "64 sockets of 8 users ask for two rooms of large messages from the beginning and hardly read; 16 requests page through them by HTTP",
		holds: "a bystander's resume takes below 2 s", prepare: hoards, run: replays},
}

// floods sends one frame over and over, on sockets that are opened anew when they
// are closed.
func floods(one []byte) func(context.Context, *arena) error {
	return func(ctx context.Context, a *arena) error {
		p, err := a.person(ctx, "flooder")
		if err != nil {
			return err
		}
		many := bytes.Repeat(one, 1+16<<10/len(one))
		var g errgroup.Group
		for range 8 {
			g.Go(func() error {
				return again(ctx, func() error {
					w, err := a.wire(ctx, p, 0)
					if err != nil {
						return err
					}
					if err := w.raw(frame(text, []byte("{"))); err != nil { // which continuations continue
						return err
					}
					begun := time.Now()
					go func() {
						for w.raw(many) == nil {
							continue
						}
					}()
					code, _ := w.drains()
					if took := time.Since(begun); ctx.Err() == nil && (code != 4429 || took > 10*time.Second) {
						return fmt.Errorf("closed with %d after %v", code, took.Round(time.Millisecond))
					}
					return nil
				})
			})
		}
		return g.Wait()
	}
}

func drips(ctx context.Context, a *arena) error {
	p, err := a.person(ctx, "dripper")
	if err != nil {
		return err
	}
	var g errgroup.Group
	for range 50 {
		g.Go(func() error {
			w, err := a.wire(ctx, p, 0)
			if err != nil {
				return err
			}
			ended := make(chan struct{})
			go func() { w.drains(); close(ended) }()
			op := byte(text)
			for begun := time.Now(); ctx.Err() == nil; op = continuation {
				if time.Since(begun) > 30*time.Second {
					return fmt.Errorf("a message may take over %v", time.Since(begun).Round(time.Second))
				}
				_ = w.raw(frame(op, []byte(" ")))
				select {
				case <-ended:
					return nil
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func unknown(ctx context.Context, a *arena) error {
	p, err := a.person(ctx, "stranger")
	if err != nil {
		return err
	}
	rooms := make([]map[string]string, 1900)
	for i := range rooms {
		rooms[i] = map[string]string{"room": fmt.Sprint("no-room-", i)}
	}
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			return again(ctx, func() error {
				w, err := a.wire(ctx, p, 0)
				if err != nil {
					return err
				}
				go func() {
					for w.sends(chat.RoomSubscribe, "", map[string]any{"rooms": rooms}) == nil {
						continue
					}
				}()
				if code, _ := w.drains(); code != 4429 && ctx.Err() == nil {
					return fmt.Errorf("closed with %d", code)
				}
				return nil
			})
		})
	}
	return g.Wait()
}

// large is a text of the most characters and bytes that a message may have.
var large = strings.Repeat("🍜", 4000)

func writes(ctx context.Context, a *arena) error {
	p, err := a.person(ctx, "writer")
	if err != nil {
		return err
	}
	room, err := p.CreateRoom(ctx, "Bulk")
	if err != nil {
		return fmt.Errorf("a room: %w", err)
	}
	var mu sync.Mutex
	acked := 0
	var g errgroup.Group
	for range 50 {
		g.Go(func() error {
			return again(ctx, func() error {
				w, err := a.wire(ctx, p, 0)
				if err != nil {
					return err
				}
				go func() {
					for w.sends(chat.MessagePosted, room.ID, chat.Posted{Text: large}) == nil {
						continue
					}
				}()
				n := w.acks()
				mu.Lock()
				acked += n
				mu.Unlock()
				return nil
			})
		})
	}
	err = g.Wait()
	const most = 64 << 20
	if took := acked * len(large); err == nil && took > most {
		err = fmt.Errorf("%d MiB were taken", took>>20)
	}
	return err
}

// acks counts acks until the socket ends.
func (w *wire) acks() (n int) {
	for {
		_, b, err := w.ReadMessage()
		if err != nil {
			return n
		}
		if e, err := chat.DecodeFrame(b); err == nil && e.Type == chat.Ack {
			n++
		}
	}
}
