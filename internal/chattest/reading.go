package chattest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Reading lets people come, go, write and read at random, and compares what the stores
// then tell (what is unread, by whom, and the read marks) with what counting one by one
// finds, fifty times in the course of n events.
func Reading(t *testing.T, events chat.EventStore, rooms chat.RoomStore, n int) {
	const looks = 50
	rnd := rand.New(rand.NewPCG(7, 8))
	count := newCounted("one", "two")
	var seq chat.Sequence
	for range looks {
		log := make([]chat.Event, n/looks)
		for i := range log {
			seq += 1 + chat.Sequence(rnd.IntN(2))
			log[i] = count.next(rnd, seq)
		}
		for _, batch := range deliveries(rnd, log) {
			must(t, events.Put(t.Context(), batch))
			must(t, rooms.Apply(t.Context(), batch))
		}
		for _, room := range count.rooms {
			room.compare(t, events, rooms)
		}
	}
}

// counted are rooms as people who write everything down would know them.
type counted struct{ rooms []*countedRoom }

type countedRoom struct {
	id       chat.RoomID
	members  map[chat.UserID]*countedMember
	messages []countedMessage
}

type countedMember struct {
	active      bool
	since, read chat.Sequence
}

type countedMessage struct {
	at     chat.Sequence
	sender chat.UserID
}

func newCounted(rooms ...chat.RoomID) *counted {
	c := new(counted)
	for _, id := range rooms {
		c.rooms = append(c.rooms, &countedRoom{id: id, members: make(map[chat.UserID]*countedMember)})
	}
	return c
}

// next is what happens next, at a sequence.
func (c *counted) next(rnd *rand.Rand, at chat.Sequence) chat.Event {
	room := c.rooms[rnd.IntN(len(c.rooms))]
	user := chat.UserID(fmt.Sprint("user", rnd.IntN(8)))
	m := room.members[user]
	if m == nil {
		m = new(countedMember)
		room.members[user] = m
	}
	switch what := rnd.IntN(100); {
	case what < 40 && m.active:
		room.messages = append(room.messages, countedMessage{at, user})
		return message(room.id, user, fmt.Sprint(at), at)
	case what < 90:
		upTo := 1 + chat.Sequence(rnd.Int64N(int64(at)+10)) // some are beyond the room's end, or of an earlier stay
		if rnd.IntN(4) == 0 && len(room.messages) > 0 {
			upTo = room.messages[max(0, len(room.messages)-1-rnd.IntN(20))].at
		}
		if upTo := min(upTo, at); m.active && upTo >= m.since {
			m.read = max(m.read, upTo)
		}
		return logged(chat.ReadAdvanced, room.id, user, fmt.Sprint(at), at, chat.ReadData{UpTo: upTo})
	case m.active && rnd.IntN(2) == 0:
		*m = countedMember{}
		typ := []chat.Type{chat.MemberLeft, chat.MemberRemoved}[rnd.IntN(2)]
		return member(typ, room.id, user, string(user), chat.Plain, at)
	default:
		if !m.active {
			*m = countedMember{active: true, since: at}
		}
		return member(chat.MemberJoined, room.id, user, string(user), chat.Plain, at)
	}
}

// mostUnread is up to where unread messages are counted.
const mostUnread = 9_999

func (r *countedRoom) compare(t *testing.T, events chat.EventStore, rooms chat.RoomStore) {
	t.Helper()
	members, err := rooms.Members(t.Context(), r.id)
	must(t, err)
	type receipt struct {
		User chat.UserID
		Read chat.Sequence
	}
	var got, want []receipt
	for _, m := range members {
		if m.Active {
			got = append(got, receipt{m.User, m.Read})
		}
	}
	for user, m := range r.members {
		if m.active {
			want = append(want, receipt{user, m.read})
		}
	}
	slices.SortFunc(want, func(a, b receipt) int { return cmp.Compare(a.User, b.User) })
	wantEqual(t, "receipts", got, want)

	for _, m := range members {
		if !m.Active {
			continue
		}
		got, err := events.Unread(t.Context(), r.id, m.User, chat.Range{After: max(m.Since, m.Read), Limit: mostUnread})
		must(t, err)
		want := 0
		for _, message := range r.messages {
			if message.sender != m.User && r.members[m.User].lacks(message) {
				want++
			}
		}
		wantEqual(t, "unread by "+string(m.User), got, min(want, mostUnread))
	}

	reading := projection.ReadingOf(members)
	wantEqual(t, "members", reading.Members(), len(want))
	for i, message := range r.messages {
		if len(r.messages)-i > 200 && i%1000 != 0 {
			continue
		}
		want := 0
		for user, m := range r.members {
			if user != message.sender && m.lacks(message) {
				want++
			}
		}
		wantEqual(t, "members who have not read "+message.at.String(), reading.UnreadBy(message.at, message.sender), want)
	}
}

// lacks reports whether a message is there for the member to read.
func (m *countedMember) lacks(message countedMessage) bool {
	return m.active && m.since < message.at && m.read < message.at
}
