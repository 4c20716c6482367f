package connector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat"
)

// slowLog logs in made time: what it is given is acknowledged after a moment.
type slowLog struct {
	Log
	mu     sync.Mutex
	end    chat.Sequence
	events []chat.Event
	times  []time.Time
	away   bool
}

func (l *slowLog) AppendAsync(_ context.Context, e *chat.Event, done func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		go done(chat.Errorf(chat.Unavailable, "away"))
		return
	}
	e.Sequence = l.end
	l.end++
	l.events = append(l.events, *e)
	l.times = append(l.times, time.Now())
	time.AfterFunc(time.Millisecond, func() { done(nil) })
}

func (l *slowLog) End(context.Context, chat.StreamID) (chat.Sequence, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end, nil
}

// others makes the log go on.
func (l *slowLog) others(n chat.Sequence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end += n
}

// upTo is what the log says that the user has read of the room.
func (l *slowLog) upTo(user chat.UserID, room chat.RoomID) (read chat.Sequence, events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		var data chat.ReadData
		if e.User() == user && e.Room == room && e.Decode(&data) == nil {
			read, events = max(read, min(data.UpTo, e.Sequence)), events+1
		}
	}
	return read, events
}

// reader sends marks, and knows what became of them.
type reader struct {
	t     *testing.T
	marks *marks
	n     int
	mu    sync.Mutex
	at    map[string]chat.Sequence // by id, of those that are acknowledged
	sent  map[string]chat.Sequence
	errs  int
}

func newReader(t *testing.T, log Log, reached chat.Sequence) *reader {
	return &reader{
		t: t, marks: newMarks(t.Context(), log, func(chat.StreamID) chat.Sequence { return reached }),
		at: make(map[string]chat.Sequence), sent: make(map[string]chat.Sequence),
	}
}

func (r *reader) reads(user chat.UserID, room chat.RoomID, upTo chat.Sequence) (id string) {
	r.t.Helper()
	r.n++
	id = fmt.Sprint(r.n)
	e, err := chat.NewEvent(id, user, chat.ReadAdvanced, room, chat.ReadData{UpTo: upTo})
	if err != nil {
		r.t.Fatal(err)
	}
	r.sent[id] = upTo
	begun := false
	r.marks.add(&e, markAnswer{func() { begun = true }, func(at chat.Sequence, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, twice := r.at[id]; twice || !begun {
			r.t.Errorf("mark %s: answered twice: %t; begun: %t", id, twice, begun)
		}
		if err != nil {
			r.errs++
			return
		}
		r.at[id] = at
	}})
	return id
}

// However often and in whatever order a user's marks come, one a second is logged, the
// highest, and each is acknowledged by one that says at least as much.
func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{end: 1_000_000}
		r := newReader(t, log, 1_000_000)
		rnd := rand.New(rand.NewPCG(1, 2))
		highest := make(map[marker]chat.Sequence)
		last := make(map[marker]time.Time)
		for range 3000 {
			key := marker{chat.UserID(fmt.Sprint("user", rnd.IntN(3))), chat.RoomID(fmt.Sprint("room", rnd.IntN(3)))}
			upTo := 1 + chat.Sequence(rnd.IntN(900_000))
			highest[key] = max(highest[key], upTo)
			r.reads(key.user, key.room, upTo)
			time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
			if rnd.IntN(50) == 0 {
				r.marks.sweep()
			}
		}
		time.Sleep(markEvery + 10*time.Millisecond)
		synctest.Wait()
		says := make(map[chat.Sequence]chat.Sequence)
		for i, e := range log.events {
			key := marker{e.User(), e.Room}
			if gap := log.times[i].Sub(last[key]); gap < markEvery {
				t.Errorf("%v logged twice in %v", key, gap)
			}
			last[key] = log.times[i]
			var data chat.ReadData
			if err := e.Decode(&data); err != nil {
				t.Fatal(err)
			}
			says[e.Sequence] = data.UpTo
		}
		for key, want := range highest {
			if got, _ := log.upTo(key.user, key.room); got != want {
				t.Errorf("%v has read up to %d, want %d", key, got, want)
			}
		}
		for id, upTo := range r.sent {
			if at := r.at[id]; says[at] < upTo {
				t.Errorf("a mark up to %d was acknowledged by %d, which says %d", upTo, at, says[at])
			}
		}
		if !r.marks.drained() {
			t.Error("some are not answered")
		}
		r.marks.sweep()
		if len(r.marks.at) > 9 {
			t.Errorf("%d are remembered", len(r.marks.at))
		}
		time.Sleep(markEvery)
		synctest.Wait()
		if r.marks.sweep(); len(r.marks.at) != 0 {
			t.Errorf("%d are remembered after all", len(r.marks.at))
		}
	})
}

// A mark that goes beyond the room's end counts up to where the end is when it comes,
// also if it has to wait.
func TestMarksBeyondTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{end: 100}
		r := newReader(t, log, 99)
		r.reads("alice", "room", 50)
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		r.reads("alice", "room", 1<<53-1)
		synctest.Wait()
		log.others(10) // from 101 on
		time.Sleep(markEvery + 10*time.Millisecond)
		synctest.Wait()
		if read, n := log.upTo("alice", "room"); read != 100 || n != 2 {
			t.Errorf("read up to %d, in %d events; want 100 in 2", read, n)
		}
	})
}

func TestMarksThatGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{end: 100}
		r := newReader(t, log, 99)
		first := r.reads("alice", "room", 50)
		soon := r.reads("alice", "room", 40)
		time.Sleep(markEvery + 10*time.Millisecond)
		late := r.reads("alice", "room", 50)
		synctest.Wait()
		if _, n := log.upTo("alice", "room"); n != 1 || r.at[soon] != r.at[first] || r.at[late] != r.at[first] || r.at[first] == 0 {
			t.Errorf("%d events, acknowledged by %v", n, r.at)
		}
	})
}

// What waits when the connector stops is logged at once, and so is what comes then.
func TestMarksWhenDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{end: 100}
		r := newReader(t, log, 99)
		for upTo := range chat.Sequence(20) {
			r.reads("alice", "room", upTo+1)
			r.reads("bob", "room", 40-upTo)
		}
		if r.marks.drained() {
			t.Error("nothing waits")
		}
		begin := time.Now()
		r.marks.drain()
		r.reads("alice", "room", 30)
		for !r.marks.drained() {
			time.Sleep(time.Millisecond)
		}
		for user, want := range map[chat.UserID]chat.Sequence{"alice": 30, "bob": 40} {
			if got, _ := log.upTo(user, "room"); got != want {
				t.Errorf("%s has read up to %d, want %d", user, got, want)
			}
		}
		if took := time.Since(begin); took > 10*time.Millisecond || len(r.at) != 41 {
			t.Errorf("took %v, %d are acknowledged", took, len(r.at))
		}
	})
}

// A mark that could not be logged is refused, with all that wait for it, and may be sent
// again.
func TestMarksWhileTheLogIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{end: 100, away: true}
		r := newReader(t, log, 99)
		for upTo := range chat.Sequence(3) {
			r.reads("alice", "room", upTo+1)
		}
		time.Sleep(2 * markEvery)
		synctest.Wait()
		if r.errs != 3 || len(r.at) != 0 {
			t.Errorf("%d refused, %d acknowledged", r.errs, len(r.at))
		}
		log.away = false
		r.reads("alice", "room", 2)
		time.Sleep(markEvery + 10*time.Millisecond)
		synctest.Wait()
		if read, _ := log.upTo("alice", "room"); read != 2 {
			t.Errorf("read up to %d", read)
		}
	})
}
