package connector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/internal/wait/waittest"
)

// marked are the read marks of a user that the log has of a room.
func (r *rig) marked(room chat.RoomID, user chat.UserID) (marks []chat.Sequence) {
	r.t.Helper()
	tail, err := r.log.Tail(r.t.Context(), room.Stream())
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range tail {
		var data chat.ReadData
		if e := &tail[i]; e.Type == chat.ReadAdvanced && e.User() == user {
			if err := e.Decode(&data); err != nil {
				r.t.Fatal(err)
			}
			marks = append(marks, data.UpTo)
		}
	}
	return marks
}

// said is a room in which so many messages were posted.
func (r *rig) said(room chat.RoomID, n int, members ...chat.UserID) (last chat.Sequence) {
	r.t.Helper()
	r.room(room, members...)
	for i := range n {
		e, err := chat.NewEvent(fmt.Sprint("said-", i), members[0], chat.MessagePosted, room, chat.Posted{Text: "x"})
		if err != nil {
			r.t.Fatal(err)
		}
		r.append(&e)
		last = e.Sequence
	}
	return last
}

func (s *socket) marks(room chat.RoomID, id string, upTo chat.Sequence) {
	s.t.Helper()
	s.send(chat.ReadAdvanced, room, id, fmt.Sprintf(`{"upTo":%q}`, upTo))
}

// A user's marks of a second, from whichever socket or request, are one event.
func TestReadMarksAreOneASecond(t *testing.T) {
	r := newRig(t, connector.Config{})
	last := r.said("r", 30, "alice", "bob")
	phone, laptop := r.open("alice"), r.open("alice")
	begin := time.Now()
	for i := range chat.Sequence(10) {
		phone.marks("r", fmt.Sprint("phone", i), last-20+i)
		laptop.marks("r", fmt.Sprint("laptop", i), last-5-i)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.base+"/v1/events", strings.NewReader(fmt.Sprintf(
		`[{"specversion":"1.0","id":"bot1","source":"x","type":"dev.knatter.read.advanced","subject":"r","data":{"upTo":%q}},
		{"specversion":"1.0","id":"bot2","source":"x","type":"dev.knatter.message.posted","subject":"r","data":{"text":"x"}}]`, last-1)))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+r.token("alice", time.Hour))
	req.Header.Set("Content-Type", "application/cloudevents-batch+json")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("over HTTP: %s", resp.Status)
	}
	acked := make(map[chat.Sequence]int)
	for range 10 {
		acked[phone.acked().Sequence]++
		acked[laptop.acked().Sequence]++
	}
	got := r.marked("r", "alice")
	if most := 2 + int(time.Since(begin)/time.Second); len(got) > most || len(acked) > most || got[len(got)-1] != last-1 {
		t.Errorf("logged %v, want %d at most, and %v last; acknowledged by %v", got, most, last-1, acked)
	}
}

// Whoever leaves right after reading has read.
func TestReadMarksOutliveTheirSocket(t *testing.T) {
	r := newRig(t, connector.Config{})
	last := r.said("r", 5, "alice")
	alice := r.open("alice")
	for i := range chat.Sequence(5) {
		alice.marks("r", fmt.Sprint(i), last-4+i)
	}
	alice.acked() // so that all have come
	alice.send("dev.knatter.nonsense", "r", "x", "{}")
	alice.until(chat.Refused)
	_ = alice.conn.Close()
	var got []chat.Sequence
	if !waittest.Holds(10*time.Second, func() bool { got = r.marked("r", "alice"); return len(got) == 2 && got[1] == last }) {
		t.Fatalf("logged %v, want %v last", got, last)
	}
}

func TestReadMarksOutliveTheConnector(t *testing.T) {
	r := newRig(t, connector.Config{})
	last := r.said("r", 5, "alice")
	alice := r.open("alice")
	for i := range chat.Sequence(5) {
		alice.marks("r", fmt.Sprint(i), last-4+i)
	}
	alice.send("dev.knatter.nonsense", "r", "x", "{}")
	alice.until(chat.Refused)
	r.stop()
	acks := 0
	for {
		e, err := alice.read()
		if err != nil {
			break
		}
		if e.Type == chat.Ack {
			acks++
		}
	}
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	if got := r.marked("r", "alice"); len(got) < 2 || slices.Max(got) != last || acks < 3 {
		t.Errorf("logged %v, want %v among them; %d acks after the stop", got, last, acks)
	}
}
