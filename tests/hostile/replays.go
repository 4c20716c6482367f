package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

const (
	hoarders       = 8
	hoardedRooms   = 2
	hoardedInRoom  = 1000 // messages: as many as a replay holds
	slowBuffer     = 4 << 10
	resumesWithin  = 2 * time.Second
	socketsOfOne   = 8
	pagesAtOnce    = 16
	betweenResumes = 500 * time.Millisecond
)

func hoarder(ctx context.Context, a *arena, i int) (*client.Session, error) {
	return a.person(ctx, fmt.Sprint("hoarder", i))
}

// hoards fills rooms with large messages, which takes all hoarders, since each has
// a rate.
func hoards(ctx context.Context, a *arena) error {
	if a.hoard != nil {
		return nil
	}
	owner, err := hoarder(ctx, a, 0)
	if err != nil {
		return err
	}
	var rooms []chat.RoomID
	for range hoardedRooms {
		room, err := owner.CreateRoom(ctx, "Hoard")
		if err != nil {
			return fmt.Errorf("a room: %w", err)
		}
		rooms = append(rooms, room.ID)
	}
	var all errgroup.Group
	for i := range hoarders {
		all.Go(func() error { return hoardOne(ctx, a, i, rooms) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	a.hoard = rooms
	return nil
}

// hoardOne writes one hoarder's part.
func hoardOne(ctx context.Context, a *arena, i int, rooms []chat.RoomID) error {
	p, err := hoarder(ctx, a, i)
	if err != nil {
		return err
	}
	conn, err := p.Connect(ctx, client.Options{})
	if err != nil {
		return fmt.Errorf("hoarding: %w", err)
	}
	defer func() { _ = conn.Close() }()
	for _, room := range rooms {
		if i > 0 {
			if err := p.Join(ctx, room); err != nil {
				return fmt.Errorf("joining the hoard: %w", err)
			}
		}
		var g errgroup.Group
		g.SetLimit(4)
		for range hoardedInRoom / hoarders {
			g.Go(func() error {
				_, err := conn.Send(ctx, room, large)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return fmt.Errorf("hoarding: %w", err)
		}
	}
	return nil
}

func replays(ctx context.Context, a *arena) error {
	var g errgroup.Group
	for i := range hoarders {
		p, err := hoarder(ctx, a, i)
		if err != nil {
			return err
		}
		for range socketsOfOne {
			g.Go(func() error { return again(ctx, func() error { return a.replay(ctx, p) }) })
		}
	}
	for i := range pagesAtOnce {
		p, err := hoarder(ctx, a, i%hoarders)
		if err != nil {
			return err
		}
		g.Go(func() error { return again(ctx, func() error { return a.page(ctx, p, i%2 == 0) }) })
	}
	g.Go(func() error {
		for ctx.Err() == nil {
			took, err := a.bystander.resumes(ctx)
			if ctx.Err() != nil {
				break // however it ended
			}
			if err != nil {
				return err
			}
			if took > resumesWithin {
				return fmt.Errorf("the bystander's resume took %v", took.Round(time.Millisecond))
			}
			select {
			case <-ctx.Done():
			case <-time.After(betweenResumes):
			}
		}
		return nil
	})
	return g.Wait()
}

// replay asks for everything on one socket, and reads a little now and then.
func (a *arena) replay(ctx context.Context, p *client.Session) error {
	w, err := a.wire(ctx, p, slowBuffer)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	var rooms []map[string]string
	for _, room := range a.hoard {
		rooms = append(rooms, map[string]string{"room": string(room), "after": chat.Sequence(0).String()})
	}
	for range 20 {
		if err := w.sends(chat.RoomSubscribe, "", map[string]any{"rooms": rooms}); err != nil {
			return nil // closed: it may be
		}
	}
	b := make([]byte, 1<<10)
	for ctx.Err() == nil {
		if _, err := w.NetConn().Read(b); err != nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// page asks for the largest page there is.
func (a *arena) page(ctx context.Context, p *client.Session, events bool) error {
	token, err := p.Token(ctx, "")
	if err != nil {
		return fmt.Errorf("a token: %w", err)
	}
	path := "/messages?limit=200"
	if events {
		path = "/events?limit=1000&after=" + chat.Sequence(0).String()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/v1/rooms/"+string(a.hoard[0])+path, nil)
	if err != nil {
		return fmt.Errorf("a page: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+token.Value)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil // refused: it may be
	}
	defer func() { _ = resp.Body.Close() }()
	const most = 3 << 20 // 1 MiB and what a message adds to its event, with room for both
	if n, err := io.Copy(io.Discard, resp.Body); err == nil && n > most {
		return fmt.Errorf("a page of %d bytes", n)
	}
	return nil
}
