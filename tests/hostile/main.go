// Hostile attacks a running Knatter, one attack after the other, and reports what
// a bystander notices of each: the time of an acknowledgement at rest and under the
// attack, and whether what must hold did.
//
//	go run ./tests/hostile -url http://localhost:8080 -admin http://localhost:8081
//
// It makes accounts of its own and leaves rooms full of rubbish behind: point it at
// a server that is there to be attacked.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// attack is one row of the table.
type attack struct {
	name  string
	does  string // what the attacker does
	holds string // what must hold nevertheless, beside what holds for all: see verdict

	// prepare makes what the attack needs, before anything is measured. It may be nil.
	prepare func(ctx context.Context, a *arena) error

	// run attacks until ctx ends and returns what did not hold. An attack that the
	// server ends, as by closing its sockets, begins anew until then.
	run func(ctx context.Context, a *arena) error
}

// attacks are all there are. Each file of attacks has a list of its own.
var attacks = slices.Concat(controls, httpAttacks, socketAttacks, accountAttacks, logAttacks)

// controls attack nothing.
var controls = []attack{{name: "nothing", does: "nobody attacks: how much the figures differ by themselves", run: func(ctx context.Context, _ *arena) error {
	<-ctx.Done()
	return nil
}}}

// What must hold under every attack.
const (
	slowdown = 3                     // times the bystander's p99 at rest
	least    = 10 * time.Millisecond // below which a p99 is good whatever it was at rest
	memory   = 512 << 20             // resident, where the admin address is known
)

type options struct {
	url, admin string
	log        string
	only       string
	length     time.Duration
	list       bool
	bystander  bool
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", "http://localhost:8080", "the `address` to attack")
	flag.StringVar(&o.admin, "admin", "", "its admin `address`, to watch its memory; none if empty")
	flag.StringVar(&o.log, "log", "", "the `address` of its embedded log, host:port; without it that is not attacked")
	flag.StringVar(&o.only, "only", "*", "attacks to run, by a `pattern` such as socket-*")
	flag.DurationVar(&o.length, "length", 10*time.Second, "how long each attack lasts; the time at rest before it is measured for half of that")
	flag.BoolVar(&o.list, "list", false, "list the attacks instead")
	flag.BoolVar(&o.bystander, asBystander, false, "for this program's own use: be the bystander")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if o.bystander {
		err = bystands(ctx, o.url)
	} else {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	chosen := slices.DeleteFunc(slices.Clone(attacks), func(at attack) bool {
		match, err := path.Match(o.only, at.name)
		return err != nil || !match
	})
	if len(chosen) == 0 {
		return fmt.Errorf("no attack is named %s; -list tells which there are", o.only)
	}
	if o.list {
		for _, at := range chosen {
			fmt.Printf("%s\n\t%s\n\tmust hold: %s\n", at.name, at.does, at.holds)
		}
		return nil
	}
	if o.log == "" {
		chosen = slices.DeleteFunc(chosen, func(at attack) bool { return strings.HasPrefix(at.name, logPrefix) })
	}
	a, err := newArena(ctx, o.url, o.admin)
	if err != nil {
		return err
	}
	defer a.close()
	a.log = o.log
	failed := 0
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "attack\tack at rest: p50\tp99\tunder attack: p50\tp99\tresident MiB\tholds\t")
	_ = w.Flush()
	for _, at := range chosen {
		r := a.measure(ctx, at, o.length)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		held := "yes"
		if r.err != nil {
			failed++
			held = strings.ReplaceAll(r.err.Error(), "\n", "; ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", at.name, short(r.rest.P50), short(r.rest.P99), short(r.under.P50), short(r.under.P99),
			mebibytes(r.resident), held)
		_ = w.Flush()
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d attacks did harm", failed, len(chosen))
	}
	return nil
}

// result is what one attack came to.
type result struct {
	rest, under Latency
	resident    uint64 // the most of it; 0 when it is not known
	err         error  // what did not hold
}

// measure has the bystander talk at rest, then under the attack.
func (a *arena) measure(ctx context.Context, at attack, length time.Duration) result {
	var r result
	var err error
	if at.prepare != nil {
		if err = at.prepare(ctx, a); err != nil {
			r.err = fmt.Errorf("preparing: %w", err)
			return r
		}
	}
	if r.rest, err = a.bystander.talks(ctx, length/2); err != nil {
		r.err = fmt.Errorf("before the attack: %w", err)
		return r
	}
	attack, stop := context.WithTimeout(ctx, length)
	defer stop()
	attacked := make(chan error, 1)
	go func() { attacked <- at.run(attack, a) }()
	watched := make(chan uint64, 1)
	go func() { watched <- a.watchMemory(attack) }()
	r.under, err = a.bystander.talks(ctx, length)
	stop()
	r.err = errors.Join(<-attacked, err)
	r.resident = <-watched
	r.err = errors.Join(r.err, r.verdict())
	return r
}

// verdict is what must hold for everybody else under any attack.
func (r *result) verdict() error {
	var errs []error
	if r.under.N == 0 {
		errs = append(errs, errors.New("the bystander got no ack"))
	}
	if r.under.P99 > max(slowdown*r.rest.P99, least) {
		errs = append(errs, fmt.Errorf("the bystander's p99 is %.1f times that at rest", float64(r.under.P99)/float64(cmp.Or(r.rest.P99, 1))))
	}
	if r.resident > memory {
		errs = append(errs, fmt.Errorf("over %d MiB", memory>>20))
	}
	return errors.Join(errs...)
}

func short(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(n uint64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n >> 20)
}
