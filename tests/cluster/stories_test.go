package cluster

import (
	"testing"
	"time"
)

// stories are told in this order: what matters most comes first, since a run may be
// given less time than all of them take.
var stories = []struct {
	name  string
	takes time.Duration // at most, on two processors that do nothing else
	tell  func(*testing.T)
}{
	{"Talk", 2 * time.Minute, talk},
	{"Doors", 3 * time.Minute, doors},
	{"Idle", 2 * time.Minute, idle},
	{"FunctionKilled", 90 * time.Second, functionKilled},
	{"Manifests", time.Minute, manifests},
	{"Poison", 30 * time.Second, poison},
	{"DispatcherKilled", time.Minute, dispatcherKilled},
	{"RollingConnectors", 2 * time.Minute, rollingConnectors},
	{"Burst", 4 * time.Minute, burst},
	{"RollingFunctions", 6 * time.Minute, rollingFunctions},
	{"ColdStart", 6 * time.Minute, coldStart},
}

const (
	deploying = 6 * time.Minute // at most; half of it is compiling
	ending    = time.Minute
)

// A story is left out if it could not end before the deadline of go test.
func TestCluster(t *testing.T) {
	needsCluster(t)
	needsTime(t, deploying)
	deployed(t)
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			needsTime(t, s.takes)
			s.tell(t)
		})
	}
}

func needsTime(t *testing.T, takes time.Duration) {
	t.Helper()
	deadline, limited := t.Deadline()
	if left := time.Until(deadline) - ending; limited && left < takes {
		t.Skipf("left out: it may take %v, and %v are left", takes, left.Round(time.Second))
	}
}
