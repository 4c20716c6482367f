package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	memoryEvery = 2 * time.Second
	busyRate    = 32 << 20 // bytes allocated per second; above this, collections become rarer
	restRate    = 2 << 20  // below this, memory is returned to the system, once
	busyGC      = 200      // percent, as GOGC
	usualGC     = 100      //
	worthwhile  = 16 << 20 // bytes allocated since memory was returned, before it is returned again
	allocated   = "/gc/heap/allocs:bytes"
)

// tendMemory makes garbage collections rarer while the process is busy: all parts in
// one process make much garbage, and halving the number of collections is worth the
// memory. At rest it returns to the system what the busy time has left. If GOGC is set,
// it does nothing. It ends with ctx.
func tendMemory(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: allocated}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, given := read(), uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := read()
		switch rate := (now - before) / uint64(memoryEvery/time.Second); {
		case rate > busyRate:
			debug.SetGCPercent(busyGC)
		case rate < restRate && now-given > worthwhile:
			debug.SetGCPercent(usualGC)
			debug.FreeOSMemory()
			given = now
		}
		before = now
	}
}
