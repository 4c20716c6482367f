// Command figures starts the local binary and prints what the README quotes: the
// memory of an idle socket, and the time from sending to receiving. Figures are
// of one machine and one run; they assert nothing.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/google/uuid"

	"knatter.dev/chat"
)

func main() {
	sockets := flag.Int("sockets", 10_000, "idle sockets")
	rate := flag.Int("rate", 1000, "messages a second")
	members := flag.Int("members", 10, "members of each room")
	rooms := flag.Int("rooms", 10, "rooms")
	duration := flag.Duration("duration", 20*time.Second, "how long messages are sent")
	binary := flag.String("binary", "", "the local binary; built when empty")
	only := flag.String("only", "", "idle or latency; both when empty")
	admin := flag.String("admin", "", "the server's admin `address`, e.g. for a profile")
	flag.Parse()
	fmt.Printf("%s, %d CPUs\n", runtime.Version(), runtime.NumCPU())
	var err error
	if *only != "latency" {
		// Without what analyses text: its dictionary is not a socket's cost.
		elsewhere := []string{"--admin", *admin, "--function", "index=http://127.0.0.1:9", "--function", "search=http://127.0.0.1:9"}
		err = run(*binary, elsewhere, func(s *server) error { return idle(s, *sockets) })
	}
	if *only != "idle" && err == nil {
		err = run(*binary, []string{"--admin", *admin}, func(s *server) error { return latency(s, *rate, *rooms, *members, *duration) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// server is a running local binary.
type server struct {
	base string
	pid  int
}

func run(binary string, args []string, f func(*server) error) error {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary == "" {
		binary = filepath.Join(dir, "knatter")
		build := exec.Command("go", "build", "-o", binary, "knatter.dev/chat/local")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building: %w", err)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, append(args, "--listen", address, "--data", filepath.Join(dir, "data"))...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	s := &server{base: "http://" + address, pid: cmd.Process.Pid}
	for range 200 {
		resp, err := http.Get(s.base + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return f(s)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the server did not get ready")
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}

func (s *server) call(method, path, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}

func (s *server) user() (token string, err error) {
	address := uuid.NewString() + "@example.com"
	password := uuid.NewString()
	var answer struct {
		AccessToken string `json:"accessToken"`
	}
	if err := s.call("POST", "/v1/accounts", "", map[string]string{"email": address, "password": password, "nickname": "load"}, &answer); err != nil {
		return "", err
	}
	err = s.call("POST", "/v1/sessions", "", map[string]string{"email": address, "password": password}, &answer)
	return answer.AccessToken, err
}

func (s *server) dial(token string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"cloudevents.json"}, ReadBufferSize: 4096, WriteBufferSize: 1024}
	conn, resp, err := dialer.Dial(strings.Replace(s.base, "http", "ws", 1)+"/v1/socket", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if _, _, err := conn.ReadMessage(); err != nil { // session.opened
		return nil, err
	}
	return conn, nil
}

// rss is the resident memory of the server, in bytes.
func (s *server) rss() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS")
}

const (
	perUser = 50
	warm    = 2500 // sockets before those that count, so that memory which was freed before does not hide theirs
)

func idle(s *server, sockets int) error {
	var tokens []string
	for range (warm + sockets + perUser - 1) / perUser {
		token, err := s.user()
		if err != nil {
			return err
		}
		tokens = append(tokens, token)
	}
	var conns []*websocket.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	open := func(n int) (rss int, err error) {
		for range n {
			c, err := s.dial(tokens[len(conns)/perUser])
			if err != nil {
				return 0, err
			}
			conns = append(conns, c)
		}
		time.Sleep(5 * time.Second)
		return s.rss()
	}
	before, err := open(warm)
	if err != nil {
		return err
	}
	after, err := open(sockets)
	if err != nil {
		return err
	}
	fmt.Printf("idle: %d sockets more, %.1f MB before, %.1f MB with them: %.1f KB a socket\n",
		sockets, float64(before)/1e6, float64(after)/1e6, float64(after-before)/float64(sockets)/1000)
	return nil
}

func latency(s *server, rate, rooms, members int, duration time.Duration) error {
	type sender struct {
		conn *websocket.Conn
		room string
	}
	var (
		senders  []sender
		mu       sync.Mutex
		times    []time.Duration
		acks     atomic.Int64
		received atomic.Int64
		wg       sync.WaitGroup
	)
	for range rooms {
		var room struct {
			ID string `json:"id"`
		}
		for i := range members {
			token, err := s.user()
			if err != nil {
				return err
			}
			if i == 0 {
				err = s.call("POST", "/v1/rooms", token, map[string]string{"name": "figures"}, &room)
			} else {
				err = s.call("POST", "/v1/rooms/"+room.ID+"/members", token, map[string]string{}, &struct{}{})
			}
			if err != nil {
				return err
			}
			conn, err := s.dial(token)
			if err != nil {
				return err
			}
			frame := fmt.Sprintf(`{"specversion":"1.0","id":"s","source":"x","type":"dev.knatter.room.subscribe","data":{"rooms":[{"room":%q}]}}`, room.ID)
			if err := conn.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
				return err
			}
			if _, _, err := conn.ReadMessage(); err != nil {
				return err
			}
			senders = append(senders, sender{conn, room.ID})
			wg.Go(func() {
				var own []time.Duration
				for {
					_, b, err := conn.ReadMessage()
					if err != nil {
						break
					}
					now := time.Now()
					e, err := chat.DecodeFrame(b)
					if err != nil {
						break
					}
					switch e.Type {
					case chat.Ack:
						acks.Add(1)
					case chat.MessagePosted:
						var data chat.Posted
						if e.Decode(&data) == nil {
							if ns, err := strconv.ParseInt(strings.Fields(data.Text)[0], 10, 64); err == nil {
								own = append(own, now.Sub(time.Unix(0, ns)))
								received.Add(1)
							}
						}
					}
				}
				mu.Lock()
				times = append(times, own...)
				mu.Unlock()
			})
		}
	}
	// Open loop: a message counts from when it was due.
	start := time.Now()
	total := int(duration.Seconds() * float64(rate))
	for i := range total {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		to := senders[i%len(senders)]
		frame := fmt.Sprintf(`{"specversion":"1.0","id":"m%d","source":"x","type":"dev.knatter.message.posted","subject":%q,"data":{"text":"%d 회의록을 공유해 주세요"}}`, i, to.room, due.UnixNano())
		if err := to.conn.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for received.Load() < int64(total*members) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	for _, to := range senders {
		_ = to.conn.Close()
	}
	wg.Wait()
	slices.Sort(times)
	if len(times) == 0 {
		return fmt.Errorf("nothing was received")
	}
	at := func(p float64) time.Duration { return times[int(p*float64(len(times)-1))].Round(10 * time.Microsecond) }
	fmt.Printf("latency: %d messages/s into %d rooms of %d for %s: %d of %d acked, %d of %d received; send to receipt median %s, p99 %s, max %s\n",
		rate, rooms, members, duration, acks.Load(), total, len(times), total*members, at(0.5), at(0.99), at(1))
	return nil
}
