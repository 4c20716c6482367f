package chat

import "testing"

func TestLineage(t *testing.T) {
	l := Lineage{Log: "x", Generations: []Generation{{Number: 1}, {Number: 2, From: []int64{10, 5}}, {Number: 4, From: []int64{10, 8}}}}
	for _, c := range []struct {
		partition int32
		offset    int64
		want      Sequence
	}{
		{0, 0, SequenceAt(1, 0)}, {0, 9, SequenceAt(1, 9)}, {0, 10, SequenceAt(4, 10)},
		{1, 4, SequenceAt(1, 4)}, {1, 5, SequenceAt(2, 5)}, {1, 7, SequenceAt(2, 7)}, {1, 8, SequenceAt(4, 8)}, {1, 1000, SequenceAt(4, 1000)},
		{2, 0, SequenceAt(4, 0)}, // a partition that came later
	} {
		if got := l.SequenceAt(c.partition, c.offset); got != c.want {
			t.Errorf("%d/%d is %s, want %s", c.partition, c.offset, got, c.want)
		}
		if got := l.Offset(c.partition, c.want); got != c.offset {
			t.Errorf("%s of %d is at %d, want %d", c.want, c.partition, got, c.offset)
		}
	}
	for _, c := range []struct {
		partition int32
		sequence  Sequence
		want      int64
	}{
		{0, SequenceAt(0, 99), 0},  // of a log before this one
		{0, SequenceAt(1, 99), 10}, // that the log has lost
		{1, SequenceAt(2, 99), 8},
		{1, SequenceAt(3, 7), 8},
		{1, SequenceAt(9, 99), 8}, // of a log that was never this one
	} {
		if got := l.Offset(c.partition, c.sequence); got != c.want {
			t.Errorf("%s of %d is at %d, want %d", c.sequence, c.partition, got, c.want)
		}
	}
	if got := (Lineage{}).SequenceAt(3, 7); got != 7 {
		t.Errorf("without a generation: %s", got)
	}
}

func TestReach(t *testing.T) {
	at := func(done, from, to Sequence) *Origin { return &Origin{Done: done, From: from, To: to} }
	var r Reach
	for _, c := range []struct {
		o    *Origin
		want Sequence
	}{
		{at(3, 5, 8), 3},
		{at(3, 12, 14), 3},
		{at(3, 3, 5), 8}, // up to what was there
		{at(3, 20, 25), 8},
		{at(3, 8, 10), 10},
		{at(11, 30, 31), 11}, // what needed no handling is passed
		{at(3, 11, 12), 14},
		{at(3, 3, 5), 14}, // again
		{at(3, 14, 20), 25},
	} {
		r = r.With(func() (o Reach) { o.Add(c.o, c.o.To-1); return o }())
		if r.Done != c.want {
			t.Errorf("with %+v: done %d, want %d", *c.o, r.Done, c.want)
		}
	}
	if r.Highest != 30 {
		t.Errorf("highest %d", r.Highest)
	}
	for i := range Sequence(3 * maxAhead) {
		r.Add(at(0, 100+2*i, 101+2*i), 100+2*i)
	}
	if len(r.ahead) > maxAhead {
		t.Errorf("%d are remembered", len(r.ahead))
	}
}
