package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"knatter.dev/chat"
)

// testWorker has two rooms, of the users 0, 2, 4 and 1, 3.
func testWorker(t *testing.T) *worker {
	t.Helper()
	w := &worker{plan: plan{Addresses: []string{"127.0.0.1:1"}, Tokens: make([]string, 5), Rooms: []chat.RoomID{"even", "odd"}}, current: -1, tooMuch: make(map[string]bool)}
	if err := w.prepare(); err != nil {
		t.Fatal(err)
	}
	w.phases = []phase{newPhase(sending{Name: "p"})}
	return w
}

// message is one that a worker's user sent, and its ack.
func (w *worker) says(sender int) ident {
	s := &w.sockets[sender]
	s.n++
	s.acked++
	return ident{sender: uint32(sender), n: s.n, due: now()}
}

func (w *worker) gets(receiver int, id ident, sequence int64) {
	w.arrived(receiver, arrived{kind: posted, id: id.append(nil), sequence: sequence}, nil, now())
}

func TestWorkerFindsNoFaultWhereThereIsNone(t *testing.T) {
	w := testWorker(t)
	for seq := int64(1); seq <= 300; seq++ {
		sender := int(seq) % 5
		id := w.says(sender)
		for r := sender % 2; r < 5; r += 2 {
			w.gets(r, id, seq)
		}
	}
	if w.checks != (checks{}) || w.lost() != 0 || len(w.problems) > 0 {
		t.Errorf("%+v, lost %d, %v", w.checks, w.lost(), w.problems)
	}
	if w.counts.Received != 300/5*(3*3+2*2) {
		t.Errorf("received %d", w.counts.Received)
	}
}

func TestWorkerFindsFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *worker)
		want checks
	}{
		{"one of three does not get it", func(w *worker) {
			id := w.says(0)
			w.gets(0, id, 1)
			w.gets(2, id, 1)
		}, checks{Lost: 1}},
		{"nobody gets the first", func(w *worker) {
			w.says(1)
			second := w.says(1)
			w.gets(1, second, 2)
			w.gets(3, second, 2)
		}, checks{Lost: 2}},
		{"one gets it twice, under two sequences", func(w *worker) {
			id := w.says(1)
			w.gets(1, id, 1)
			w.gets(1, id, 2)
			w.gets(3, id, 1)
		}, checks{Doubled: 1}},
		{"the same record comes again", func(w *worker) {
			id := w.says(1)
			w.gets(1, id, 1)
			w.gets(1, id, 1)
			w.gets(3, id, 1)
		}, checks{Doubled: 1, Disordered: 1}},
		{"two come in the wrong order", func(w *worker) {
			first, second := w.says(1), w.says(3)
			w.gets(1, first, 1)
			w.gets(1, second, 2)
			w.gets(3, second, 2)
			w.gets(3, first, 1)
		}, checks{Disordered: 1}},
		{"another room's comes", func(w *worker) {
			id := w.says(0)
			for r := range 3 {
				w.gets(2*r, id, 1)
			}
			w.gets(1, id, 1)
		}, checks{Unexpected: 1}},
		{"one that nobody sent comes", func(w *worker) {
			w.arrived(0, arrived{id: []byte("0192-uuid"), sequence: 1}, nil, now())
		}, checks{Unexpected: 1}},
		{"one that was sent again comes again", func(w *worker) {
			id := w.says(1)
			w.sockets[1].resent = id.n
			for _, r := range []int{1, 3} {
				w.gets(r, id, 1)
				w.gets(r, id, 2)
			}
		}, checks{Resent: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testWorker(t)
			c.do(w)
			w.checks.Lost = w.lost()
			if w.checks != c.want {
				t.Errorf("found %+v, want %+v", w.checks, c.want)
			}
		})
	}
}

func TestMembersAreSpreadEvenly(t *testing.T) {
	w := testWorker(t)
	for i, want := range []int{3, 2, 3, 2, 3} {
		if got := len(w.got[i]); got != want {
			t.Errorf("user %d has %d members in its room, want %d", i, got, want)
		}
	}
}

func TestTextIsLikeAMessage(t *testing.T) {
	w := newWriter(rand.New(rand.NewPCG(1, 1)))
	seen := make(map[string]bool)
	for range 1000 {
		text := w.text(0)
		if n := len([]rune(text)); n == 0 || n > 200 {
			t.Fatalf("%d characters: %s", n, text)
		}
		seen[text] = true
		if strings.ContainsAny(text, "\"\\\n") {
			t.Fatalf("%q would have to be escaped", text)
		}
	}
	if len(seen) < 990 {
		t.Errorf("%d different texts of 1000", len(seen))
	}
	if n := len(w.text(2000)); n < 2000 || n > 2100 {
		t.Errorf("%d bytes, want 2000", n)
	}
}

func TestScaledProfilesKeepTheirShape(t *testing.T) {
	for _, p := range profiles {
		s := p.scaled(p.users/10, 100, 0)
		if s.rooms != p.rooms/10 || s.users != p.users/10 {
			t.Errorf("%s: %d users in %d rooms", p.name, s.users, s.rooms)
		}
		highest := 0.0
		for _, step := range s.steps {
			highest = max(highest, step.rate)
		}
		if highest != 100 && p.name != "idle" || s.life != p.life {
			t.Errorf("%s: highest rate %v, want 100; %+v", p.name, highest, s.life)
		}
	}
}
