package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What was read of a partition is built upon only where the next read can go on behind
// it.
func TestWhatWasReadIsKept(t *testing.T) {
	at := place{partition: 1, leader: 1}
	moved := place{partition: 1, leader: 2}
	for _, c := range []struct {
		name             string
		at               place
		from, end        int64
		wantFrom, wantOn int64 // the first record that is kept, and where reading goes on
		want             int
	}{
		{"more was logged", at, 10, 25, 10, 20, 10},
		{"some was committed", at, 15, 25, 15, 20, 5},
		{"nothing happened", at, 10, 20, 10, 20, 10},
		{"all was committed", at, 20, 25, 0, 20, 0},
		{"more than was read was committed", at, 23, 25, 0, 23, 0},
		{"the commit went back", at, 5, 25, 0, 5, 0},
		{"the log lost its end", at, 10, 18, 0, 10, 0},
		{"another broker leads", moved, 10, 25, 0, 10, 0},
	} {
		r := run{place: at}
		for offset := range int64(10) {
			if err := r.add(&kgo.Record{Offset: 10 + offset}); err != nil {
				t.Fatal(err)
			}
		}
		r.keep(c.at, c.from, c.end)
		if len(r.records) != c.want || r.end != c.wantOn || c.want > 0 && r.records[0].Offset != c.wantFrom || r.place != c.at {
			t.Errorf("%s: %d kept, going on at %d; want %d, %d", c.name, len(r.records), r.end, c.want, c.wantOn)
		}
	}
}
