package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// arena is the server under attack, and who is there.
type arena struct {
	url, admin string
	log        string // its log's, host:port
	client     *client.Client
	bystander  *apart

	mu     sync.Mutex
	people map[string]*client.Session
	unread bool          // messages are there, see unreads
	hoard  []chat.RoomID // rooms of many large messages, see hoards
}

func newArena(ctx context.Context, url, admin string) (*arena, error) {
	url = strings.TrimRight(url, "/")
	a := &arena{url: url, admin: strings.TrimRight(admin, "/"), client: client.New(url), people: make(map[string]*client.Session)}
	var err error
	a.bystander, err = startApart(ctx, url)
	return a, err
}

func (a *arena) close() { a.bystander.close() }

// person is somebody who has logged in, made when the name is new. Attackers share
// a few, since making accounts is limited.
func (a *arena) person(ctx context.Context, name string) (*client.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.people[name]; p != nil {
		return p, nil
	}
	p, err := join(ctx, a.client, name)
	if err == nil {
		a.people[name] = p
	}
	return p, err
}

// join signs somebody up and logs them in.
func join(ctx context.Context, c *client.Client, name string) (*client.Session, error) {
	email, password := strings.ToLower(name+"-"+rand.Text())+"@hostile.example", rand.Text()
	if _, err := c.SignUp(ctx, email, password, name); err != nil {
		return nil, fmt.Errorf("signing up %s: %w", name, err)
	}
	p, err := c.LogIn(ctx, email, password)
	if err != nil {
		return nil, fmt.Errorf("logging in %s: %w", name, err)
	}
	return p, nil
}

// watchMemory is the most that the server had resident until ctx ended.
func (a *arena) watchMemory(ctx context.Context) (most uint64) {
	for ctx.Err() == nil {
		if n, err := a.resident(ctx); err == nil {
			most = max(most, n)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return most
}

// resident is what the server has in memory, as its metrics say.
func (a *arena) resident(ctx context.Context) (uint64, error) {
	if a.admin == "" {
		return 0, errors.New("no admin address")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.admin+"/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "process_resident_memory_bytes "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return uint64(n), err
		}
	}
	return 0, errors.New("no process_resident_memory_bytes among the metrics")
}
