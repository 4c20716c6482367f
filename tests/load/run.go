package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/wait"
	"knatter.dev/chat/tests/load/report"
)

const (
	begin           = int64(200 * time.Millisecond) // from an order to its first message
	lagPatience     = 60 * time.Second
	connectPatience = 30 * time.Second // beyond what the rate of connecting takes
	connectSpeed    = 1000             // sockets a second
	settle          = 3 * time.Second
)

// run is one run of a profile.
type run struct {
	profile  profile
	users    []user
	rooms    []chat.RoomID
	target   *target
	fleet    *fleet
	meter    *meter
	live     io.Writer // progress
	result   *report.Result
	stages   *stages // nil when no CPU profile is wanted
	connects float64 // sockets opened a second

	start     int64 // shared clock
	sampled   int64 // the last second in the result
	phase     string
	lag       map[string]float64
	idle      map[string]report.Usage // before the sockets came
	sustained float64
	resumes   []time.Duration
}

// play runs the whole profile. When ctx ends it stops sending, and what was
// measured until then is the result.
func (r *run) play(ctx context.Context, seed uint64) (err error) {
	wait.For(settle, ctx.Done()) // what making the rooms has left to do is not to be measured
	r.meter = newMeter(r.target.pids)
	r.idle = r.meter.read()
	if r.profile.perSocket > 0 {
		if r.idle, err = r.meter.settled(ctx); err != nil {
			return err
		}
	}
	if r.fleet, err = launch(r.target.addresses, r.users, r.rooms, r.profile, r.connects, seed); err != nil {
		return err
	}
	for i, w := range r.fleet.workers {
		r.meter.pids[fmt.Sprint("load ", i+1)] = w.cmd.Process.Pid
	}
	r.result.Started = time.Now()
	r.start = now()
	r.sampled = r.start / 1e9

	err = r.phases(ctx)
	r.result.Interrupted = ctx.Err() != nil
	if r.result.Interrupted && len(r.result.Phases) > 0 || err == nil {
		err = r.finish(context.WithoutCancel(ctx))
	}
	return errors.Join(err, r.fleet.stop())
}

func (r *run) phases(ctx context.Context) error {
	r.phase = "connecting"
	connecting, cancel := context.WithTimeoutCause(ctx, connectPatience+time.Duration(float64(r.profile.users)/r.connects*1e9), errors.New("not all sessions could be opened"))
	defer cancel()
	if err := r.until(connecting, func() bool {
		r.fleet.mu.Lock()
		defer r.fleet.mu.Unlock()
		return r.fleet.ready == len(r.fleet.workers)
	}); err != nil {
		return err
	}
	for i, s := range r.profile.steps {
		if err := r.step(ctx, s, r.profile.storms > 0 && s.measured); err != nil {
			return err
		}
		if r.profile.climb > 0 && i == len(r.profile.steps)-1 {
			return r.climb(ctx, s)
		}
	}
	return nil
}

// climb raises the rate until a step fails.
func (r *run) climb(ctx context.Context, s step) error {
	for {
		ok, err := r.held(ctx, s)
		if err != nil || !ok {
			return err
		}
		r.sustained = s.rate
		s.rate += r.profile.climb
		s.name = fmt.Sprintf("%.0f/s", s.rate)
		if err := r.step(ctx, s, false); err != nil {
			return err
		}
	}
}

// held reports whether the server kept up with the step that is over: what was due
// has arrived, in time, and the event functions are done within their target.
func (r *run) held(ctx context.Context, s step) (bool, error) {
	drained, err := r.drain(ctx, 5*time.Second)
	if err != nil {
		return false, err
	}
	p := &r.result.Phases[len(r.result.Phases)-1]
	p.LagDrainSeconds = drained.Seconds()
	var total counts
	begun := time.Now()
	if err := r.until(ctx, func() bool { // workers account a second late
		total = r.fleet.total()
		return total.Received >= total.Expected && total.Acked >= total.Due || time.Since(begun) > 5*time.Second
	}); err != nil {
		return false, err
	}
	receipts := newHistogram()
	for t := (r.start + int64(p.From*1e9)) / 1e9; t <= now()/1e9; t++ {
		s, _ := r.fleet.at(t)
		receipts.Merge(s.receipt)
	}
	p99 := time.Duration(receipts.ValueAtQuantile(99)) * time.Microsecond
	_, _ = fmt.Fprintf(r.live, "%s: p99 %v, %d of %d received, event functions done after %v\n", s.name, p99.Round(time.Millisecond), total.Received, total.Expected, drained.Round(100*time.Millisecond))
	return drained <= 5*time.Second && p99 <= r.profile.p99 && total.Received >= total.Expected && total.Acked >= total.Due, nil
}

// drain waits until the event functions have handled everything, or for a time.
func (r *run) drain(ctx context.Context, most time.Duration) (time.Duration, error) {
	begun := time.Now()
	err := r.until(ctx, func() bool {
		lag, err := lags(r.target.admins)
		return err == nil && behind(lag) == 0 || time.Since(begun) > most
	})
	return time.Since(begun), err
}

func behind(lag map[string]float64) float64 {
	var most float64
	for _, n := range lag {
		most = max(most, n)
	}
	return most
}

// step lets messages flow for a time.
func (r *run) step(ctx context.Context, s step, storm bool) error {
	from := now() + begin
	to := from + int64(s.length)
	r.phase = s.name
	if err := r.fleet.send(s.name, from, to, s.rate); err != nil {
		return err
	}
	r.result.Phases = append(r.result.Phases, report.Phase{
		Name: s.name, Measured: s.measured, Rate: s.rate,
		From: float64(from-r.start) / 1e9, To: float64(to-r.start) / 1e9,
	})
	if r.stages != nil && s.rate > 0 {
		r.stages.begin(ctx, r.target.admins[0], s.name, s.length)
		defer r.stages.end()
	}
	if storm {
		return r.storms(ctx, from, to)
	}
	return r.until(ctx, func() bool { return now() >= to })
}

// storms cuts all sockets every now and then within a step.
func (r *run) storms(ctx context.Context, from, to int64) error {
	for n := range r.profile.storms {
		at := from + (to-from)*int64(2*n+1)/int64(2*r.profile.storms)
		if err := r.until(ctx, func() bool { return now() >= at }); err != nil {
			return err
		}
		if err := r.fleet.order(func(int) order { return order{Cut: &cut{At: now(), Over: int64(5 * time.Second)}} }); err != nil {
			return err
		}
		next := min(to, at+(to-from)/int64(r.profile.storms))
		if err := r.until(ctx, func() bool { return now() >= next-int64(100*time.Millisecond) }); err != nil {
			return err
		}
		r.fleet.mu.Lock()
		slowest := int64(0)
		for _, w := range r.fleet.workers {
			slowest = max(slowest, r.fleet.resumed[w])
			if r.fleet.resumed[w] == 0 {
				slowest = next - at // and still not all
			}
		}
		r.fleet.mu.Unlock()
		r.resumes = append(r.resumes, time.Duration(slowest))
	}
	return r.until(ctx, func() bool { return now() >= to })
}

// until takes samples every second until cond holds.
func (r *run) until(ctx context.Context, cond func() bool) error {
	for {
		r.sample()
		r.fleet.mu.Lock()
		err := r.fleet.err
		r.fleet.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case cond():
			return nil
		}
		wait.For(20*time.Millisecond, ctx.Done())
	}
}

// sample notes the second before the last: by now all workers have told of it.
func (r *run) sample() {
	second := now()/1e9 - 2
	if second <= r.sampled {
		return
	}
	r.sampled = second
	if lag, err := lags(r.target.admins); err == nil {
		r.lag = lag
	}
	s, sockets := r.fleet.at(second)
	row := report.Second{
		T: float64(second+1) - float64(r.start)/1e9, Phase: r.phase,
		Due: s.counts.Due, Sent: s.counts.Sent, Acked: s.counts.Acked, Refused: s.counts.Refused, Received: s.counts.Received, Others: s.counts.Others,
		Ack: percentiles(s.ack), Receipt: percentiles(s.receipt),
		Processes: r.meter.read(), Lag: maps.Clone(r.lag), Sockets: sockets,
	}
	r.result.Series = append(r.result.Series, row)
	_, _ = fmt.Fprintf(r.live, "%4.0f s  %-10s %6d sockets  due %5d/s  acked %5d/s  received %6d+%d/s  receipt p50 %6.1f p99 %6.1f max %6.1f ms  cores %4.2f+%4.2f  lag %.0f\n",
		row.T, row.Phase, sockets, row.Due, row.Acked, row.Received, row.Others, row.Receipt.P50, row.Receipt.P99, row.Receipt.Max,
		cores(row.Processes, false), cores(row.Processes, true), behind(row.Lag))
}

// cores is what the load generator's processes take, or all others.
func cores(all map[string]report.Usage, generator bool) float64 {
	sum := 0.0
	for name, u := range all {
		if strings.HasPrefix(name, "load ") == generator {
			sum += u.Cores
		}
	}
	return sum
}

// finish waits for what is under way and fills in the result.
func (r *run) finish(ctx context.Context) error {
	r.phase = "finishing"
	begun := time.Now()
	if err := r.fleet.order(func(int) order { return order{Finish: true} }); err != nil {
		return err
	}
	drained, err := r.drain(ctx, lagPatience)
	if err != nil {
		return err
	}
	if err := r.until(ctx, func() bool {
		r.fleet.mu.Lock()
		defer r.fleet.mu.Unlock()
		return r.fleet.done == len(r.fleet.workers) || time.Since(begun) > lagPatience+time.Duration(drainTimeout)
	}); err != nil {
		return err
	}
	for range 3 {
		wait.For(time.Second, ctx.Done())
		r.sample()
	}
	if r.profile.life.any() {
		if err := r.compare(ctx); err != nil {
			return err
		}
	}
	r.result.Seconds = float64(now()-r.start) / 1e9
	r.fill(drained)
	return nil
}

// compare loads all rooms anew and compares them with what their receivers know.
func (r *run) compare(ctx context.Context) error {
	differing, details, err := newPeople(r.target.addresses[0]).fresh(ctx, r.users, r.rooms, r.fleet.rooms)
	if err != nil {
		return fmt.Errorf("loading rooms anew: %w", err)
	}
	r.fleet.mu.Lock()
	defer r.fleet.mu.Unlock()
	r.fleet.checks.Differing += differing
	r.fleet.details = append(r.fleet.details, details...)
	return nil
}

func (r *run) fill(drained time.Duration) {
	f := r.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range r.result.Phases {
		p := &r.result.Phases[i]
		if f.phases[p.Name] == nil {
			continue
		}
		o := &f.phases[p.Name][posted]
		p.Due, p.Sent, p.Acked, p.Refused = o.counts.Due, o.counts.Sent, o.counts.Acked, o.counts.Refused
		p.Received, p.Expected = o.counts.Received, o.counts.Expected
		p.Ack, p.Receipt = latency(o.ack), latency(o.receipt)
		p.Others = around(f.phases[p.Name])
	}
	if n := len(r.result.Phases); n > 0 && r.profile.climb == 0 {
		r.result.Phases[n-1].LagDrainSeconds = drained.Seconds()
	}
	c := &r.result.Checks
	c.Lost, c.Doubled, c.Disordered, c.Unexpected = f.checks.Lost, f.checks.Doubled, f.checks.Disordered, f.checks.Unexpected
	c.Unacked, c.Disconnects, c.Details = f.checks.Unacked, f.checks.Disconnects, f.details
	c.Differing = f.checks.Differing
	for _, p := range r.result.Phases {
		c.Refused += p.Refused
		for _, o := range p.Others {
			c.Refused += o.Refused
		}
	}
	if f.checks.Resent > 0 {
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("%d copies of messages that were sent again after a cut were dropped by their receivers, as clients do.", f.checks.Resent))
	}
	for i, d := range r.resumes {
		r.result.Notes = append(r.result.Notes, fmt.Sprintf("Storm %d: all sessions live again %.2f s after they were cut.", i+1, d.Seconds()))
	}
	r.judge(drained)
}

// around are the figures of a phase's events that are not messages.
func around(of *[kinds]tallied) (list []report.Other) {
	for k := posted + 1; k < kinds; k++ {
		o := &of[k]
		if o.counts == (counts{}) {
			continue
		}
		list = append(list, report.Other{
			Name: kindNames[k], Sent: o.counts.Sent, Acked: o.counts.Acked, Refused: o.counts.Refused, Overtaken: o.counts.Overtaken,
			Received: o.counts.Received, Expected: o.counts.Expected, Ack: latency(o.ack), Receipt: latency(o.receipt),
		})
	}
	return list
}

func percentiles(h *hdrhistogram.Histogram) report.Percentiles {
	if h.TotalCount() == 0 {
		return report.Percentiles{}
	}
	return report.Percentiles{P50: ms(h, 50), P90: ms(h, 90), P99: ms(h, 99), Max: float64(h.Max()) / 1000}
}

func ms(h *hdrhistogram.Histogram, q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }

func latency(h *hdrhistogram.Histogram) report.Latency {
	l := report.Latency{Count: uint64(h.TotalCount())}
	if l.Count == 0 {
		return l
	}
	l.Min, l.Mean, l.Max = float64(h.Min())/1000, h.Mean()/1000, float64(h.Max())/1000
	l.P50, l.P90, l.P99, l.P999 = ms(h, 50), ms(h, 90), ms(h, 99), ms(h, 99.9)
	for _, b := range h.CumulativeDistribution() {
		l.Distribution = append(l.Distribution, report.Quantile{Quantile: b.Quantile / 100, Value: float64(b.ValueAt) / 1000})
	}
	return l
}

// judge compares the result with the profile's targets.
func (r *run) judge(drained time.Duration) {
	add := func(name, limit, measured string, ok bool) {
		r.result.Targets = append(r.result.Targets, report.Target{Name: name, Limit: limit, Measured: measured, OK: ok})
	}
	if r.profile.climb == 0 {
		n := faults(r.result.Checks)
		add("every receiver has every message once and in order", "0 faults", fmt.Sprint(n, " faults"), n == 0)
	}
	if r.profile.life.any() {
		n := r.result.Checks.Differing
		add("every receiver knows what a fresh load of the room shows", "0 differ", fmt.Sprint(n, " differ"), n == 0)
	}
	var p99, worst float64
	for _, p := range r.result.Phases {
		if p.Measured {
			p99, worst = max(p99, p.Receipt.P99), max(worst, p.Receipt.Max)
		}
	}
	if limit := r.profile.p99; limit > 0 && r.profile.climb == 0 {
		add("p99 of due → receipt", fmt.Sprint("≤ ", limit), fmt.Sprintf("%.1f ms", p99), p99 <= float64(limit.Milliseconds()))
	}
	if limit := r.profile.worst; limit > 0 {
		add("slowest receipt", fmt.Sprint("≤ ", limit), fmt.Sprintf("%.1f ms", worst), worst <= float64(limit.Milliseconds()))
	}
	if limit := r.profile.lagDrain; limit > 0 && len(r.target.admins) > 0 {
		add("persisted and indexed after the last message", fmt.Sprint("≤ ", limit), fmt.Sprintf("%.1f s", drained.Seconds()), drained <= limit)
	}
	if r.profile.sustained > 0 {
		add("highest sustained rate", fmt.Sprintf("≥ %.0f messages/s", r.profile.sustained), fmt.Sprintf("%.0f messages/s", r.sustained), r.sustained >= r.profile.sustained)
	}
	if limit := r.profile.perSocket; limit > 0 && len(r.result.Series) > 0 && r.target.pids != nil {
		last := r.result.Series[len(r.result.Series)-1]
		var before, after uint64
		for name := range r.target.holders() {
			before += r.idle[name].ResidentBytes
			after += last.Processes[name].ResidentBytes
		}
		each := (int64(after) - int64(before)) / int64(r.result.Users)
		add("resident memory of a session", fmt.Sprint("≤ ", limit, " bytes"), fmt.Sprint(each, " bytes"), each <= int64(limit))
	}
}
