package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"knatter.dev/chat"
)

// Client makes requests to a server. It is safe for concurrent use.
type Client struct {
	BaseURL string       // e.g. "http://localhost:8080"
	HTTP    *http.Client // client for requests; nil means one with a timeout of 30 s
}

// New returns a client for the server at baseURL.
func New(baseURL string) *Client {
	return &Client{BaseURL: strings.TrimRight(baseURL, "/"), HTTP: &http.Client{Timeout: 30 * time.Second}}
}

// problems begins the types of the server's problems.
const problems = "https://knatter.dev/problems/"

// User is a person as others see them. Email is set only for the caller's own user.
type User struct {
	ID       chat.UserID `json:"id"`
	Email    string      `json:"email,omitempty"`
	Nickname string      `json:"nickname"`
}

// SignUp creates an account. Errors: Conflict if the address is taken, Invalid.
func (c *Client) SignUp(ctx context.Context, email, password, nickname string) (User, error) {
	var u User
	err := c.call(ctx, http.MethodPost, "/v1/accounts", "",
		map[string]string{"email": email, "password": password, "nickname": nickname}, &u)
	return u, err
}

// LogIn opens a session. Errors: Unauthenticated, TooMany after too many attempts.
func (c *Client) LogIn(ctx context.Context, email, password string) (*Session, error) {
	var t tokens
	err := c.call(ctx, http.MethodPost, "/v1/sessions", "",
		map[string]string{"email": email, "password": password}, &t)
	if err != nil {
		return nil, err
	}
	return newSession(c, t), nil
}

// Resume continues the session of a refresh token, which it uses up. Errors:
// Unauthenticated.
func (c *Client) Resume(ctx context.Context, refreshToken string) (*Session, error) {
	t, err := c.refresh(ctx, refreshToken)
	if err != nil {
		return nil, err
	}
	return newSession(c, t), nil
}

func (c *Client) refresh(ctx context.Context, refreshToken string) (tokens, error) {
	var t tokens
	err := c.call(ctx, http.MethodPost, "/v1/sessions/refresh", "",
		map[string]string{"refreshToken": refreshToken}, &t)
	return t, err
}

// call makes a request with in as JSON, unless in is nil, and decodes the answer into
// out, unless out is nil.
func (c *Client) call(ctx context.Context, method, path, token string, in, out any) error {
	var body io.Reader
	header := http.Header{}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
		header.Set("Content-Type", "application/json")
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.send(ctx, method, path, header, body)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: answer: %w", method, path, err)
	}
	return nil
}

// maxAnswer limits the memory for one answer: 200 events of the largest size fit.
const maxAnswer = 32 << 20

// send returns the body of a successful answer. Errors: those of problem documents,
// Unavailable if the server cannot be reached.
func (c *Client) send(ctx context.Context, method, path string, header http.Header, body io.Reader) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, body)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "request: %w", err)
	}
	r.Header = header
	resp, err := cmp.Or(c.HTTP, http.DefaultClient).Do(r)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	if resp.StatusCode >= 300 {
		return nil, problem(resp.StatusCode, b)
	}
	return b, nil
}

// unavailable keeps the caller's own cancellation recognizable.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return chat.Errorf(chat.Unavailable, "cannot reach the server: %w", err)
}

// problem returns the error for a problem document (RFC 9457).
func problem(status int, body []byte) error {
	var p struct {
		Type   string  `json:"type"`
		Title  string  `json:"title"`
		Detail string  `json:"detail"`
		After  float64 `json:"retryAfter"`
	}
	_ = json.Unmarshal(body, &p) // if it is a proxy's page instead, the status says enough
	e := &chat.Error{
		Kind:   kindOf(status),
		Detail: cmp.Or(p.Detail, p.Title, http.StatusText(status), "unknown status"),
		After:  time.Duration(p.After * float64(time.Second)),
	}
	if rest, ok := strings.CutPrefix(p.Type, problems); ok {
		_, e.Reason, _ = strings.Cut(rest, "/")
	}
	return e
}

// kindOf returns the kind for which the server uses a status.
func kindOf(status int) chat.Kind {
	switch status {
	case http.StatusUnauthorized:
		return chat.Unauthenticated
	case http.StatusForbidden:
		return chat.Forbidden
	case http.StatusNotFound:
		return chat.NotFound
	case http.StatusConflict:
		return chat.Conflict
	case http.StatusRequestEntityTooLarge:
		return chat.TooLarge
	case http.StatusUnprocessableEntity:
		return chat.Invalid
	case http.StatusTooManyRequests:
		return chat.TooMany
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return chat.Unavailable
	}
	if status >= 500 {
		return chat.Internal
	}
	return chat.Malformed
}

// passing reports whether a retry may succeed after err.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if e, ok := errors.AsType[*chat.Error](err); ok && e.After > 0 {
		return false // slow mode: when to send it again is the user's to say
	}
	return !chat.KindOf(err).Never()
}

// socketURL returns the address of the socket. Errors: Invalid.
func (c *Client) socketURL() (string, error) {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return "", chat.Errorf(chat.Invalid, "base URL: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return "", chat.Errorf(chat.Invalid, "base URL %q must begin with http:// or https://", c.BaseURL)
	}
	return u.JoinPath("/v1/socket").String(), nil
}
