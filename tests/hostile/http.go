package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait"
)

// httpAttacks are those that come by HTTP, or by connections that say nothing.
var httpAttacks = []attack{
	{name: "http-silent", does: "opens 1,000 connections that say nothing or begin a request and never end it",
		holds: "a new connection is answered within 2 s", run: silence},
	{name: "http-bodies", does: "1,000 requests that never end their bodies of 60 KB, without a login",
		holds: "a login is answered within 2 s", run: bodies},
	{name: "http-search", does: "8 people search for 20 words as fast as they can",
		prepare: unreads, run: searches},
	{name: "http-rooms", does: "8 people list 20 rooms with 2,000 unread messages each as fast as they can",
		prepare: unreads, run: lists},
}

const (
	crowd      = 1000
	readers    = 8
	talkers    = 5
	manyRooms  = 20
	unread     = 2000 // messages, in each of them
	answersIn  = 2 * time.Second
	unfinished = 60 << 10
)

// crowds keeps connections open that each send something once, and replaces those
// that the server closes, while probe holds.
func (a *arena) crowds(ctx context.Context, first func(i int) string, probe func(context.Context) error) error {
	at, err := url.Parse(a.url)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for i := range crowd {
		g.Go(func() error {
			return again(ctx, func() error {
				conn, err := net.DialTimeout("tcp", at.Host, time.Second)
				if err != nil {
					return nil // it does not let us in, which is its right
				}
				defer func() { _ = conn.Close() }()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				_, _ = conn.Write([]byte(first(i)))
				_, _ = conn.Read(make([]byte, 1024)) // until it is closed or answered
				wait.For(time.Second, ctx.Done())
				return nil
			})
		})
	}
	g.Go(func() error {
		return again(ctx, func() error {
			within, cancel := context.WithTimeout(ctx, answersIn)
			defer cancel()
			err := probe(within)
			if within.Err() != nil && ctx.Err() == nil {
				return fmt.Errorf("not answered within %v", answersIn)
			}
			return err
		})
	})
	return g.Wait()
}

func silence(ctx context.Context, a *arena) error {
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return a.crowds(ctx, func(i int) string { return "GET /healthz HTTP/1.1\r\nHost: h\r\n"[:i%2*20] }, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/healthz", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := fresh.Do(r)
		if err != nil {
			return fmt.Errorf("a new connection: %w", err)
		}
		return resp.Body.Close()
	})
}

func bodies(ctx context.Context, a *arena) error {
	p, err := a.person(ctx, "visitor")
	if err != nil {
		return err
	}
	part := fmt.Sprintf("POST /v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", unfinished+1, strings.Repeat("x", unfinished))
	return a.crowds(ctx, func(int) string { return part }, func(ctx context.Context) error {
		err := p.Refresh(ctx) // has a body as well
		if chat.KindOf(err) == chat.TooMany {
			return nil // by our own rate
		}
		return err
	})
}

func reader(ctx context.Context, a *arena, i int) (*client.Session, error) {
	return a.person(ctx, fmt.Sprint("reader", i))
}

// reads has all readers do something over and over; what is refused for its rate
// is tried again.
func reads(ctx context.Context, a *arena, read func(context.Context, *client.Session) error) error {
	var g errgroup.Group
	for i := range readers {
		p, err := reader(ctx, a, i)
		if err != nil {
			return err
		}
		g.Go(func() error {
			for ctx.Err() == nil {
				err := read(ctx, p)
				if kind := chat.KindOf(err); err != nil && (kind == chat.TooMany || kind == chat.Unavailable) {
					wait.For(10*time.Millisecond, ctx.Done())
					continue
				}
				if err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func searches(ctx context.Context, a *arena) error {
	words := strings.Repeat("회의록 message 공유 ", 7)
	return reads(ctx, a, func(ctx context.Context, p *client.Session) error {
		_, _, err := p.Search(ctx, client.Search{Text: strings.TrimSpace(words)})
		return err
	})
}

func lists(ctx context.Context, a *arena) error {
	return reads(ctx, a, func(ctx context.Context, p *client.Session) error {
		_, err := p.Rooms(ctx)
		return err
	})
}

// unreads makes rooms with messages that the readers have not read. Several people
// write them, since each has a rate.
func unreads(ctx context.Context, a *arena) error {
	if a.unread {
		return nil
	}
	var g errgroup.Group
	for i := range talkers {
		talker, err := a.person(ctx, fmt.Sprint("talker", i))
		if err != nil {
			return err
		}
		for n := i; n < manyRooms; n += talkers {
			room, err := talker.CreateRoom(ctx, "Busy")
			if err != nil {
				return fmt.Errorf("a room: %w", err)
			}
			for i := range readers {
				p, err := reader(ctx, a, i)
				if err == nil {
					err = p.Join(ctx, room.ID)
				}
				if err != nil {
					return fmt.Errorf("a reader: %w", err)
				}
			}
			g.Go(func() error { return fills(ctx, talker, room.ID) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	a.unread = true
	return nil
}

// fills writes a room's messages, as fast as it may.
func fills(ctx context.Context, p *client.Session, room chat.RoomID) error {
	const batch = 100
	for n := 0; n < unread; {
		events := make([]chat.Event, batch)
		for i := range events {
			e, err := chat.NewEvent(fmt.Sprintf("%s-%d", room, n+i), "talker", chat.MessagePosted, room, chat.Posted{Text: fmt.Sprintf("message %d, 회의록을 공유해 주세요", n+i)})
			if err != nil {
				return err
			}
			events[i] = e
		}
		_, err := p.Post(ctx, events...)
		if chat.KindOf(err) == chat.TooMany {
			wait.For(200*time.Millisecond, ctx.Done())
			continue
		}
		if err != nil {
			return fmt.Errorf("filling a room: %w", err)
		}
		n += batch
	}
	return nil
}
