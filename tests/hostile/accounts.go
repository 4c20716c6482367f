package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// accountAttacks are about signing up and logging in.
var accountAttacks = []attack{
	{name: "account-crowd", does: "200 people sign up at once, every two seconds",
		holds: "each gets an account, or 429 or 503 with Retry-After", run: crowds},
}

// crowds signs people up in waves.
func crowds(ctx context.Context, a *arena) error {
	var made atomic.Int32
	for ctx.Err() == nil {
		wave := time.After(2 * time.Second)
		var g errgroup.Group
		for range 200 {
			g.Go(func() error {
				status, err := a.signsUp(ctx)
				if status == http.StatusCreated {
					made.Add(1)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-wave:
		case <-ctx.Done():
		}
	}
	if made.Load() == 0 {
		return errors.New("nobody got an account")
	}
	return nil
}

// signsUp makes an account, without trying again.
func (a *arena) signsUp(ctx context.Context) (status int, err error) {
	body, err := json.Marshal(map[string]string{"email": strings.ToLower(rand.Text()) + "@hostile.example", "password": rand.Text(), "nickname": "crowd"})
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/v1/accounts", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusCreated:
		return resp.StatusCode, nil
	case resp.Header.Get("Retry-After") == "":
		return resp.StatusCode, fmt.Errorf("signing up: %s without Retry-After", resp.Status)
	case resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable:
		return resp.StatusCode, fmt.Errorf("signing up: %s", resp.Status)
	}
	return resp.StatusCode, nil
}
