package fleet_test

import (
	"context"
	"testing"
	"time"

	"knatter.dev/chat/tests/engines/processes/fleet"
)

// TestFleet is about all of it on one fleet, as starting one takes a while.
func TestFleet(t *testing.T) {
	f := fleet.Run(t, fleet.Options{Connectors: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Minute)
	defer cancel()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("people talk over two connectors", func(t *testing.T) { must(t, fleet.Talk(ctx, f)) })
	t.Run("also over one that was added", func(t *testing.T) {
		name, err := f.AddConnector(ctx)
		must(t, err)
		if name != "connector-2" || len(f.URLs()) != 3 {
			t.Errorf("got %s, URLs %v", name, f.URLs())
		}
		must(t, fleet.Talk(ctx, f))
	})
	t.Run("after everything was killed once", func(t *testing.T) {
		for _, name := range []string{"rooms", "persist", "fanout", "dispatcher-fanout", "connector-2"} {
			must(t, f.Kill(name))
			if f.Kill(name) == nil {
				t.Errorf("%s was killed twice", name)
			}
			must(t, f.Restart(ctx, name))
			if f.Restart(ctx, name) == nil {
				t.Errorf("%s was started twice", name)
			}
		}
		must(t, fleet.Talk(ctx, f))
	})
	t.Run("replay", func(t *testing.T) { must(t, fleet.Replay(ctx, f, t.Logf)) })
	t.Run("log or store lose what the other has", func(t *testing.T) { must(t, fleet.Loss(ctx, f, t.Logf)) })
	if err := f.Stop("nobody"); err == nil {
		t.Error("a process that there is not was stopped")
	}
}
