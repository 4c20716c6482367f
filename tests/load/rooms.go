package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

// people makes what a run needs through the server's HTTP API.
type people struct {
	base   string
	client *http.Client
}

func newPeople(address string) *people {
	return &people{base: "http://" + address, client: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: parallelCalls},
	}}
}

const parallelCalls = 32

// call makes one request; in and out are JSON. It tries again when the server is
// busy.
func (p *people) call(ctx context.Context, method, path, token string, in, out any) error {
	return p.try(ctx, method, path, token, in, out, 10)
}

func (p *people) try(ctx context.Context, method, path, token string, in, out any, tries int) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusServiceUnavailable && tries > 1 {
		select {
		case <-time.After(time.Second):
			return p.try(ctx, method, path, token, in, out, tries-1)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %.300s", method, path, resp.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}

// signUp makes users as people do, for a server whose store and key are not at
// hand. A server limits sign-ups to 1,000 an hour and logins to 300 a minute for
// each address that they come from.
func (p *people) signUp(ctx context.Context, n int) ([]user, error) {
	users := make([]user, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range users {
		g.Go(func() error {
			email, password := uuid.NewString()+"@load.test", uuid.NewString()
			var account struct {
				ID chat.UserID `json:"id"`
			}
			var session struct {
				AccessToken string `json:"accessToken"`
			}
			credentials := map[string]string{"email": email, "password": password, "nickname": fmt.Sprint("load-", i)}
			if err := p.call(ctx, http.MethodPost, "/v1/accounts", "", credentials, &account); err != nil {
				return err
			}
			delete(credentials, "nickname")
			if err := p.call(ctx, http.MethodPost, "/v1/sessions", "", credentials, &session); err != nil {
				return err
			}
			users[i] = user{account.ID, session.AccessToken}
			return nil
		})
	}
	return users, g.Wait()
}

// rooms makes rooms of which user i joins room i % n.
func (p *people) rooms(ctx context.Context, users []user, n int) ([]chat.RoomID, error) {
	rooms := make([]chat.RoomID, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCalls)
	for i := range rooms {
		g.Go(func() error {
			var room struct {
				ID chat.RoomID `json:"id"`
			}
			if err := p.call(ctx, http.MethodPost, "/v1/rooms", users[i].token, map[string]string{"name": fmt.Sprint("load ", i)}, &room); err != nil {
				return err
			}
			rooms[i] = room.ID
			for j := i + n; j < len(users); j += n {
				if err := p.call(ctx, http.MethodPost, "/v1/rooms/"+string(room.ID)+"/members", users[j].token, struct{}{}, new(any)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return rooms, g.Wait()
}

// freeAddress is one that a server can listen on.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}
