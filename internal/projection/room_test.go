package projection

import (
	"math/rand/v2"
	"testing"
	"time"

	"knatter.dev/chat"
)

// Each setting is what the last event about it says, in whatever order they come.
func TestSettings(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var log []chat.Event
		want := chat.Room{ID: "room", Kind: chat.Group}
		for seq := chat.Sequence(1); seq <= 12; seq++ {
			d := randomSettings(rnd, seq)
			log = append(log, logged(t, chat.RoomUpdated, "alice", seq, d))
			if d.Names() {
				want.Name, want.Sequence = d.Name, seq
			}
			if d.Topic != nil {
				want.Topic, want.Sequence = *d.Topic, seq
			}
			if d.Joining != "" {
				want.Joining, want.Sequence = d.Joining, seq
			}
			if d.Posting != "" {
				want.Posting, want.Sequence = d.Posting, seq
			}
			if d.SlowMode != nil {
				want.SlowMode, want.Sequence = time.Duration(*d.SlowMode)*time.Second, seq
			}
		}
		log = append(log, log[rnd.IntN(len(log))])
		rnd.Shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
		got := newStates()
		got.apply(t, log...)
		if got := got.rooms["room"].View("room"); got != want {
			t.Fatalf("seed %d:\n got %+v\nwant %+v", seed, got, want)
		}
	}
}
