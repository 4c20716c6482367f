// Command load measures Knatter under load: how many people and messages a server
// carries, how long messages take, and that none is lost, doubled or out of order.
//
//	go run ./tests/load -profile seed
//	go run ./tests/load compare before.json after.json
//
// It starts a server of its own on fresh data, unless -url names one. Messages are
// due by an open-loop schedule, and latency counts from when a message was due, so
// a server that stalls cannot hide it. The result is a JSON file and an HTML page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/tests/load/report"
)

// config is the command line.
type config struct {
	profile   string
	users     int
	rate      float64
	length    time.Duration
	connects  float64
	seed      uint64
	binary    string
	url       string
	pids      map[string]int
	processes int
	admin     string
	store     string
	key       string
	out       string
	stages    bool
	strict    bool
	server    []string // arguments for the server
}

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "worker":
		err = runWorker(os.Stdin, os.Stdout)
	case len(os.Args) > 1 && os.Args[1] == "compare":
		err = compare(os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "chart":
		err = chart(os.Args[2:])
	default:
		err = measure(os.Args[1:])
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func parse(args []string) (config, error) {
	var c config
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.Usage = func() {
		_, _ = fmt.Fprint(fs.Output(), "Usage: load [flags] [-- flags of the server]\n       load compare a.json b.json\n       load chart a.json >a.svg\n\nProfiles:\n")
		for _, p := range profiles {
			_, _ = fmt.Fprintf(fs.Output(), "  %-6s %s\n", p.name, p.about)
		}
		_, _ = fmt.Fprint(fs.Output(), "\nFlags:\n")
		fs.PrintDefaults()
	}
	fs.StringVar(&c.profile, "profile", "seed", "`name` of the load's shape")
	fs.IntVar(&c.users, "users", 0, "`number` of users, instead of the profile's")
	fs.Float64Var(&c.rate, "rate", 0, "highest rate in `messages/s`, instead of the profile's; the others in proportion")
	fs.DurationVar(&c.length, "length", 0, "`time` of each measured step, instead of the profile's")
	fs.Float64Var(&c.connects, "connects", connectSpeed, "sockets opened a `second`")
	fs.Uint64Var(&c.seed, "seed", 1, "`number` that all chance comes from")
	fs.StringVar(&c.binary, "binary", "", "`file` of the local binary; built when empty")
	fs.StringVar(&c.url, "url", "", "`host:port,...` of a server that runs already, of each of its connectors")
	fs.StringVar(&c.admin, "admin", "", "`host:port,...` of that server's metrics; of the dispatchers, if they are processes of their own")
	fs.IntVar(&c.processes, "processes", 0, "`number` of connectors, with every other part a process of its own too, on Apache Kafka and FerretDB; 0 for all in one process")
	fs.Func("process", "`name=pid` of a process of that server, to tell its CPU and memory; may be repeated", c.setProcess)
	fs.StringVar(&c.store, "store", "", "`URL` of that server's store, to make users there rather than by signing up; with -key")
	fs.StringVar(&c.key, "key", "", "`file` of that server's signing key")
	fs.StringVar(&c.out, "out", ".knatter-load", "`directory` for the results")
	fs.BoolVar(&c.stages, "stages", false, "take a CPU profile of the server in the measured steps, and say where the time goes")
	fs.BoolVar(&c.strict, "strict", false, "fail when a target of speed or size is missed too, not just when messages are")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	c.server = fs.Args()
	if c.processes > 0 && (c.url != "" || c.stages || len(c.server) > 0) {
		return c, errors.New("-processes goes with neither -url nor -stages nor flags of the server")
	}
	if (c.store == "") != (c.key == "") || c.store != "" && c.url == "" {
		return c, errors.New("-store and -key go together, and with -url")
	}
	return c, nil
}

func (c *config) setProcess(s string) error {
	name, number, _ := strings.Cut(s, "=")
	pid, err := strconv.Atoi(number)
	if name == "" || err != nil {
		return errors.New("must be name=pid")
	}
	if c.pids == nil {
		c.pids = make(map[string]int)
	}
	c.pids[name] = pid
	return nil
}

// measure runs a profile and writes what came out.
func measure(args []string) (err error) {
	c, err := parse(args)
	if err != nil {
		return err
	}
	p, err := profileNamed(c.profile)
	if err != nil {
		return err
	}
	p = p.scaled(c.users, c.rate, c.length)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "knatter-load-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Printf("%s: %s\n", p.name, p.about)
	t, users, err := c.open(ctx, p, dir)
	if err != nil {
		return err
	}
	if t.stop != nil {
		defer func() { err = errors.Join(err, t.stop()) }()
	}
	var rooms []chat.RoomID
	if p.rooms > 0 {
		fmt.Printf("making %d rooms of %d\n", p.rooms, p.users/p.rooms)
		if rooms, err = newPeople(t.addresses[0]).rooms(ctx, users, p.rooms); err != nil {
			return err
		}
	}
	r := &run{profile: p, users: users, rooms: rooms, target: t, live: os.Stdout, connects: c.connects, result: describe(p, c, args)}
	if c.stages {
		r.stages = new(stages)
	}
	if err := r.play(ctx, c.seed); err != nil {
		return err
	}
	var cpu []byte
	if r.stages != nil {
		if r.result.Stages, cpu, err = r.stages.result(r.result, r.sustained); err != nil {
			return err
		}
	}
	return save(c.out, r.result, cpu, c.strict)
}

// open returns the server, its own one unless the command line names one, and
// users of it.
func (c *config) open(ctx context.Context, p profile, dir string) (*target, []user, error) {
	if c.url != "" {
		t := &target{addresses: strings.Split(c.url, ","), pids: c.pids}
		if c.admin != "" {
			t.admins = strings.Split(c.admin, ",")
		}
		if c.store != "" {
			users, err := mint(ctx, c.store, c.key, p.users)
			return t, users, err
		}
		users, err := newPeople(t.addresses[0]).signUp(ctx, p.users)
		return t, users, err
	}
	if c.processes > 0 {
		t, env, err := startProcesses(ctx, filepath.Join(dir, "processes"), c.processes)
		if err != nil {
			return nil, nil, err
		}
		fmt.Printf("making %d users\n", p.users)
		users, err := mint(ctx, env["KNATTER_STORE"], env["KNATTER_KEYS"], p.users)
		if err != nil {
			err = errors.Join(err, t.stop())
		}
		return t, users, err
	}
	binary := c.binary
	if binary == "" {
		binary = filepath.Join(dir, "knatter")
		if err := build(ctx, binary); err != nil {
			return nil, nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, nil, err
	}
	fmt.Printf("making %d users\n", p.users)
	users, err := mint(ctx, "pebble:"+filepath.Join(data, "store"), filepath.Join(data, "key.pem"), p.users)
	if err != nil {
		return nil, nil, err
	}
	server, err := startServer(ctx, binary, data, c.server)
	return server, users, err
}

func describe(p profile, c config, args []string) *report.Result {
	r := &report.Result{
		Profile: p.name, Title: p.name + ": " + p.about, Users: p.users, Rooms: p.rooms, TextBytes: p.textBytes,
		Command: strings.Join(append([]string{"go run ./tests/load"}, args...), " "),
		Machine: machine(),
	}
	r.Settings = map[string]string{"connects a second": fmt.Sprint(c.connects), "server flags": strings.Join(c.server, " ")}
	if c.url != "" {
		r.Settings["server"] = c.url
	}
	return r
}

// save writes the result as JSON and HTML and says what is in it.
// It fails when messages were not delivered as they should be, and when strict
// also when a target of speed or size was missed.
func save(dir string, r *report.Result, cpu []byte, strict bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, r.Profile+"-"+r.Started.Format("20060102-150405"))
	if err := r.Write(name + ".json"); err != nil {
		return err
	}
	if cpu != nil {
		if err := os.WriteFile(name+".pprof", cpu, 0o644); err != nil {
			return err
		}
	}
	page, err := os.Create(name + ".html")
	if err != nil {
		return err
	}
	if err := errors.Join(report.HTML(page, r), page.Close()); err != nil {
		return err
	}
	report.Summary(os.Stdout, r)
	fmt.Printf("\n%s.html\n%s.json\n", name, name)
	if n := faults(r.Checks); n > 0 {
		return fmt.Errorf("%d faults: messages lost, doubled, out of order, refused or not acknowledged", n)
	}
	for _, t := range r.Targets {
		if strict && !t.OK {
			return errors.New("not all targets were met")
		}
	}
	return nil
}

func faults(c report.Checks) uint64 {
	return c.Lost + c.Doubled + c.Disordered + c.Unexpected + c.Refused + c.Unacked + c.Differing
}

// compare prints how two results differ and writes a page about it.
func compare(args []string) error {
	if len(args) != 2 {
		return errors.New("compare needs two results: load compare before.json after.json")
	}
	a, err := report.Read(args[0])
	if err != nil {
		return err
	}
	b, err := report.Read(args[1])
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(args[1], ".json") + "-compared.html"
	page, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(report.CompareHTML(page, a, b), page.Close(), report.Compare(os.Stdout, a, b)); err != nil {
		return err
	}
	fmt.Printf("\n%s\n", name)
	return nil
}

// chart draws one result for a page that cannot hold the whole report.
func chart(args []string) error {
	if len(args) != 1 {
		return errors.New("chart needs a result: load chart a.json >a.svg")
	}
	r, err := report.Read(args[0])
	if err != nil {
		return err
	}
	return report.SVG(os.Stdout, r)
}
