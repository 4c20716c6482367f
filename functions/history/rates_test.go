package history

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRateOfReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rates
		begin := time.Now()
		for range 10 { // ten seconds' worth, two of which are free
			if err := r.wait(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			r.read("alice", readPerSecond)
		}
		if took := time.Since(begin); took != 8*time.Second {
			t.Errorf("alice read for %v", took)
		}
		begin = time.Now()
		if err := r.wait(t.Context(), "bob"); err != nil || time.Since(begin) != 0 {
			t.Errorf("bob waits %v, %v", time.Since(begin), err)
		}
		time.Sleep(time.Minute)
		r.read("bob", 1)
		if len(r.users) != 1 {
			t.Errorf("%d users are remembered", len(r.users))
		}
	})
}
