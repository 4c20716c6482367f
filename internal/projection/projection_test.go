package projection

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"knatter.dev/chat"
)

// states are all that a log leaves, by room and user.
type states struct {
	rooms   map[chat.RoomID]*Room
	members map[string]*Member
	marks   map[string]chat.Sequence
}

func newStates() *states {
	return &states{rooms: make(map[chat.RoomID]*Room), members: make(map[string]*Member), marks: make(map[string]chat.Sequence)}
}

func (s *states) apply(t *testing.T, events ...chat.Event) {
	t.Helper()
	for i := range events {
		c, ok, err := Of(&events[i])
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			s.change(c)
		}
	}
}

func (s *states) change(c Change) {
	key := fmt.Sprint(c.RoomID, " ", c.User)
	switch {
	case c.Room != nil:
		if s.rooms[c.RoomID] == nil {
			s.rooms[c.RoomID] = new(Room)
		}
		s.rooms[c.RoomID].Merge(c.Room)
	case c.Member != nil:
		if s.members[key] == nil {
			s.members[key] = new(Member)
		}
		s.members[key].Merge(c.Member)
	default:
		s.marks[key] = max(s.marks[key], c.Mark)
	}
}

func (s *states) merge(from *states) {
	for room, r := range from.rooms {
		s.change(Change{RoomID: room, Room: r})
	}
	for key, m := range from.members {
		if s.members[key] == nil {
			s.members[key] = new(Member)
		}
		s.members[key].Merge(m)
	}
	for key, mark := range from.marks {
		s.marks[key] = max(s.marks[key], mark)
	}
}

func (s *states) String() string {
	b, err := json.Marshal([]any{s.rooms, s.members, s.marks})
	if err != nil {
		panic(err) // plain values
	}
	return string(b)
}

func logged(t *testing.T, typ chat.Type, by chat.UserID, seq chat.Sequence, data any) chat.Event {
	t.Helper()
	e, err := chat.NewEvent(fmt.Sprint("id-", seq), by, typ, "room", data)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence, e.Time = seq, time.UnixMilli(int64(seq)).UTC()
	return e
}

var memberTypes = []chat.Type{
	chat.MemberJoined, chat.MemberJoined, chat.MemberLeft, chat.MemberRemoved, chat.MemberUpdated, chat.MemberUpdated,
	chat.MemberInvited, chat.MemberDeclined, chat.MemberPreferred,
}

// randomLog is a life of a room in the log's order.
func randomLog(t *testing.T, rnd *rand.Rand, length int) (log []chat.Event) {
	for seq := chat.Sequence(1); len(log) < length; seq += 1 + chat.Sequence(rnd.IntN(3)) {
		user := chat.UserID([]string{"alice", "bob"}[rnd.IntN(2)])
		switch rnd.IntN(6) {
		case 0:
			log = append(log, logged(t, chat.ReadAdvanced, user, seq, chat.ReadData{UpTo: chat.Sequence(rnd.IntN(2 * length))}))
		case 1:
			log = append(log, logged(t, []chat.Type{chat.RoomCreated, chat.RoomUpdated}[rnd.IntN(2)], user, seq, randomSettings(rnd, seq)))
		default:
			data := chat.MemberData{
				User: user, Nickname: fmt.Sprint("nick ", seq), Role: []chat.Role{chat.Owner, chat.Moderator, chat.Plain}[rnd.IntN(3)],
			}
			typ := memberTypes[rnd.IntN(len(memberTypes))]
			if typ == chat.MemberUpdated {
				data.Changed = []string{"", chat.ChangedNickname, chat.ChangedRole, chat.ChangedMute}[rnd.IntN(4)]
				if rnd.IntN(2) == 0 {
					data.MutedUntil = &chat.Time{Time: time.UnixMilli(int64(1000 * seq)).UTC()}
				}
			}
			if typ == chat.MemberPreferred {
				data.Notify = []chat.Notify{"", chat.NotifyMentions, chat.NotifyNone}[rnd.IntN(3)]
				if favorite := rnd.IntN(2) == 0; rnd.IntN(2) == 0 {
					data.Favorite = &favorite
				}
			}
			log = append(log, logged(t, typ, "carol", seq, data))
		}
	}
	return log
}

// randomSettings is an event about some of a room's settings, as this version logs it or
// an earlier one, which knew the name alone.
func randomSettings(rnd *rand.Rand, seq chat.Sequence) chat.RoomData {
	d := chat.RoomData{Name: fmt.Sprint("name ", seq), Kind: chat.Group}
	if rnd.IntN(3) == 0 {
		return d
	}
	some := func(what string) bool {
		if rnd.IntN(2) == 0 {
			return false
		}
		d.Changed = append(d.Changed, what)
		return true
	}
	some("name")
	if some("topic") {
		topic := fmt.Sprint("topic ", seq)[:rnd.IntN(7)]
		d.Topic = &topic
	}
	if some("joining") {
		d.Joining = []chat.Joining{chat.JoinByCode, chat.JoinByInvitation}[rnd.IntN(2)]
	}
	if some("posting") {
		d.Posting = []chat.Posting{chat.PostEveryone, chat.PostModerators}[rnd.IntN(2)]
	}
	if some("slowMode") {
		seconds := rnd.IntN(3)
		d.SlowMode = &seconds
	}
	return d
}

// model is what a member is by the log's own order, told as a story.
type model struct {
	chat.Membership
	removed bool // since the user last joined
}

func (m *model) apply(t *testing.T, e *chat.Event) {
	t.Helper()
	var d chat.MemberData
	if err := e.Decode(&d); err != nil {
		t.Fatal(err)
	}
	switch e.Type {
	case chat.MemberPreferred:
		if d.Notify != "" {
			m.Notify = d.Notify
		}
		if d.Favorite != nil {
			m.Favorite = *d.Favorite
		}
		return
	case chat.MemberInvited:
		if !m.Active {
			m.InvitedBy, m.InvitedAt = e.User(), e.Time
		}
		return
	case chat.MemberDeclined:
		m.InvitedBy, m.InvitedAt = "", time.Time{}
		return
	case chat.MemberJoined:
		if !m.Active {
			m.Active, m.Since = true, e.Sequence
		}
		m.removed = false
	case chat.MemberLeft, chat.MemberRemoved:
		m.Active, m.Since = false, 0
		m.removed = m.removed || e.Type == chat.MemberRemoved
	}
	m.Sequence = e.Sequence
	if e.Type != chat.MemberUpdated {
		m.InvitedBy, m.InvitedAt = "", time.Time{}
	}
	if e.Type == chat.MemberJoined || e.Type == chat.MemberUpdated {
		switch d.Changed {
		case chat.ChangedNickname:
			m.Nickname = d.Nickname
		case chat.ChangedRole:
			m.Role = d.Role
		case chat.ChangedMute:
			m.MutedUntil = time.Time{}
			if d.MutedUntil != nil {
				m.MutedUntil = d.MutedUntil.Time
			}
		default:
			m.Nickname, m.Role = d.Nickname, d.Role
		}
	}
	m.Removed = !m.Active && m.removed
}

// TestOrder checks that in any order, with any repetition and in any groups a log
// leaves the same states, and that these are what its own order says.
func TestOrder(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		log := randomLog(t, rnd, 1+rnd.IntN(40))
		want := newStates()
		want.apply(t, log...)

		models := make(map[chat.UserID]*model)
		marks := make(map[chat.UserID]chat.Sequence)
		for i := range log {
			c, _, err := Of(&log[i])
			if err != nil {
				t.Fatal(err)
			}
			if c.Member == nil {
				marks[c.User] = max(marks[c.User], c.Mark)
				continue
			}
			if models[c.User] == nil {
				models[c.User] = &model{Membership: chat.Membership{Room: "room", User: c.User}}
			}
			models[c.User].apply(t, &log[i])
		}
		for user, m := range models {
			if m.Active && marks[user] >= m.Since {
				m.Read = marks[user]
			}
			if got := want.members["room "+string(user)].View("room", user, marks[user]); got != m.Membership {
				t.Fatalf("seed %d, %s:\n got %+v\nwant %+v", seed, user, got, m.Membership)
			}
		}

		again := slices.Clone(log)
		for range len(log) / 2 {
			again = append(again, log[rnd.IntN(len(log))])
		}
		for range 10 {
			rnd.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
			got := newStates()
			got.apply(t, again...)
			if got.String() != want.String() {
				t.Fatalf("seed %d: in another order\n got %s\nwant %s", seed, got, want)
			}
			parts := []*states{newStates(), newStates(), newStates()}
			for i := range again {
				parts[rnd.IntN(len(parts))].apply(t, again[i])
			}
			left, right := newStates(), newStates()
			for i, p := range parts {
				left.merge(p)
				right.merge(parts[len(parts)-1-i])
			}
			left.merge(left)
			if left.String() != want.String() || right.String() != want.String() {
				t.Fatalf("seed %d: merged\n got %s\n and %s\nwant %s", seed, left, right, want)
			}
		}
	}
}

// TestPermutations goes through every order of short lives.
func TestPermutations(t *testing.T) {
	for seed := range uint64(40) {
		log := randomLog(t, rand.New(rand.NewPCG(seed, 2)), 6)
		want := newStates()
		want.apply(t, log...)
		permute(log, 0, func() {
			got := newStates()
			got.apply(t, log...)
			if got.String() != want.String() {
				t.Fatalf("seed %d:\n got %s\nwant %s", seed, got, want)
			}
		})
	}
}

func permute(log []chat.Event, from int, f func()) {
	if from == len(log) {
		f()
		return
	}
	for i := from; i < len(log); i++ {
		log[from], log[i] = log[i], log[from]
		permute(log, from+1, f)
		log[from], log[i] = log[i], log[from]
	}
}

// A merge must not write into the state that it merges from, which may be another
// one's too.
func TestMergeLeavesItsArgument(t *testing.T) {
	shared := &Member{Joins: append(make([]chat.Sequence, 0, 8), 10), Joined: 10}
	a, b := new(Member), new(Member)
	a.Merge(shared)
	b.Merge(shared)
	a.Merge(&Member{Joins: []chat.Sequence{5}, Joined: 5})
	b.Merge(&Member{Joins: []chat.Sequence{20}, Joined: 20})
	a.Merge(&Member{Ended: 7})
	for m, want := range map[*Member]string{shared: "[10]", a: "[10]", b: "[10 20]"} {
		if got := fmt.Sprint(joins(m)); got != want {
			t.Errorf("joins %s, want %s", got, want)
		}
	}
}

func joins(m *Member) (list []int64) {
	for _, s := range m.Joins {
		list = append(list, int64(s))
	}
	return list
}

func TestMarks(t *testing.T) {
	for _, c := range []struct{ upTo, at, want chat.Sequence }{{5, 10, 5}, {10, 10, 10}, {11, 10, 10}, {1<<53 - 1, 10, 10}, {-1, 10, 0}} {
		if got := Mark(c.upTo, c.at); got != c.want {
			t.Errorf("up to %d at %d: %d, want %d", c.upTo, c.at, got, c.want)
		}
	}
	m := Stay(true, false, 50)
	for mark, want := range map[chat.Sequence]chat.Sequence{0: 0, 49: 0, 50: 50, 70: 70} {
		if got := m.View("room", "alice", mark).Read; got != want {
			t.Errorf("mark %d in a stay from 50 on: %d, want %d", mark, got, want)
		}
	}
}

func TestOf(t *testing.T) {
	good := logged(t, chat.MemberJoined, "alice", 1, chat.MemberData{User: "alice"})
	ignored := map[string]func(e *chat.Event){
		"a message":          func(e *chat.Event) { e.Type = chat.MessagePosted },
		"a route":            func(e *chat.Event) { e.Type = chat.RouteOpened },
		"on a user's stream": func(e *chat.Event) { e.Stream = chat.StreamOf("alice") },
	}
	for name, change := range ignored {
		e := good
		change(&e)
		if _, ok, err := Of(&e); ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
	refused := map[string]func(e *chat.Event){
		"no room":     func(e *chat.Event) { e.Stream = "" },
		"no sequence": func(e *chat.Event) { e.Sequence = 0 },
		"no user":     func(e *chat.Event) { e.Data = []byte(`{"user":"@"}`) },
		"no data":     func(e *chat.Event) { e.Data = nil },
		"no reader": func(e *chat.Event) {
			e.Type, e.Source, e.Data = chat.ReadAdvanced, "/x", []byte(`{"upTo":"0000000000000001"}`)
		},
	}
	for name, change := range refused {
		e := good
		change(&e)
		if _, ok, err := Of(&e); ok || err == nil || chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
}
