package embedded

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What guests are answered has a rate, for all of them together; only who fetches
// waits for it.
func TestRateOfGuestsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuests()
		f := kmsg.NewRequestFormatter()
		admitted := func(version int16, r kmsg.Request) (time.Duration, error) {
			r.SetVersion(version)
			begin := time.Now()
			_, err := g.admit(f.AppendRequest(nil, r, 1)[4:], nil)
			return time.Since(begin), err
		}
		for second, want := range []time.Duration{0, 0, time.Second, time.Second} { // the first is free
			if took, err := admitted(11, kmsg.NewPtrFetchRequest()); err != nil || took.Round(time.Millisecond) != want {
				t.Errorf("fetch %d waited %v, %v; want %v", second, took, err, want)
			}
			g.answered(guestBytes)
		}
		if took, err := admitted(7, kmsg.NewPtrMetadataRequest()); err != nil || took != 0 {
			t.Errorf("who asks for little waited %v, %v", took, err)
		}
		for range int(2 * guestWait / time.Second) {
			g.answered(guestBytes)
		}
		if took, err := admitted(11, kmsg.NewPtrFetchRequest()); err == nil || took != 0 {
			t.Errorf("a fetch that would wait for a minute waited %v, %v", took, err)
		}
	})
}
