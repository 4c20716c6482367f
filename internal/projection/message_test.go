package projection

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"knatter.dev/chat"
)

// However often and in whatever order events come, and in however many pieces, the
// first of each identity counts.
func TestFirsts(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		var log []chat.Event
		first := make(map[string]chat.Sequence)
		var want []chat.Sequence
		for seq := chat.Sequence(1); len(log) < 1+rnd.IntN(40); seq += 1 + chat.Sequence(rnd.IntN(3)) {
			e := logged(t, []chat.Type{chat.MessagePosted, chat.ReadAdvanced, chat.RouteOpened, chat.MemberInvited}[rnd.IntN(4)],
				[]chat.UserID{"alice", "bob"}[rnd.IntN(2)], seq, nil)
			e.ID = fmt.Sprint(rnd.IntN(8))
			e.Stream = []chat.StreamID{"a", "b", "@alice"}[rnd.IntN(3)]
			log = append(log, e)
			if id := fmt.Sprint(e.Stream, e.Source, e.ID); e.Kept() && first[id] == 0 {
				first[id] = seq
				want = append(want, seq)
			}
		}
		for range 10 {
			again := append(log[:len(log):len(log)], log[rnd.IntN(len(log))], log[rnd.IntN(len(log))])
			rnd.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
			var f Firsts
			cut := rnd.IntN(len(again))
			f.Add(again[:cut])
			f.Add(again[cut:])
			f.Add(again[:cut])
			var got []chat.Sequence
			for _, e := range f.Events() {
				got = append(got, e.Sequence)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d: got %v, want %v", seed, got, want)
			}
			for i := range log {
				id := fmt.Sprint(log[i].Stream, log[i].Source, log[i].ID)
				if got, want := f.Before(&log[i]), first[id] != 0 && first[id] < log[i].Sequence; got != want {
					t.Fatalf("seed %d: %s at %v is sent again: %t, want %t", seed, id, log[i].Sequence, got, want)
				}
			}
		}
	}
}
