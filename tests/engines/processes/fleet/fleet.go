// Package fleet runs the whole of Knatter on this machine as it runs in a cluster:
// each part is a process of its own, on Apache Kafka and FerretDB, to be stopped,
// killed and started again one by one.
//
// Tests call [Run]; people and scripts run
//
//	go run ./tests/engines/processes --help
package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/mongo/mongotest"
	"knatter.dev/chat/internal/open"
	brokers "knatter.dev/chat/tests/engines/kafka"
)

// Options say what to run. Zero values are the defaults.
type Options struct {
	Connectors int    // default 2
	Brokers    int    // default 1
	Dir        string // of all data, logs and keys; required. What it holds is gone on with.
	Port       int    // of the first connector, the others' come after it; default: free ones
	Partitions int    // of chat.rooms; default 8
	Room       int    // for connectors that are added; default 6

	// LongLived lets the brokers' JVM compile all it can, for measurements.
	LongLived bool

	// Env is added to every process's environment.
	Env map[string]string

	// Ended is told of each process that ends without having been stopped.
	Ended func(name string, err error)
}

// Fleet is a running set of processes. They end with the process that started them,
// whatever ends that. It is safe for concurrent use.
type Fleet struct {
	opts    Options
	bin     string
	cluster *brokers.Cluster
	env     map[string]string // of all processes

	mu        sync.Mutex        // held by what starts or stops something
	processes []*process        // in the order in which they start
	urls      map[string]string // of the functions, by the variables that say so
}

// store is the name of FerretDB's process, broker begins those of the brokers.
const (
	store  = "ferretdb"
	broker = "broker-"
)

// PostgreSQL is the variable that may have the URL of a PostgreSQL database: FerretDB
// then keeps the data there, and not in SQLite.
const PostgreSQL = "KNATTER_TEST_POSTGRESQL"

// Start runs the whole set and returns when all of it is ready.
func Start(ctx context.Context, opts Options) (f *Fleet, err error) {
	opts.Connectors, opts.Brokers = max(opts.Connectors, 1), max(opts.Brokers, 1)
	if opts.Partitions == 0 {
		opts.Partitions = 8
	}
	if opts.Room == 0 {
		opts.Room = 6
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "logs"), 0o700); err != nil {
		return nil, err
	}
	f = &Fleet{opts: opts, urls: make(map[string]string)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	var first errgroup.Group
	first.Go(func() (err error) { f.bin, err = binaries(ctx); return err })
	first.Go(func() (err error) {
		f.cluster, err = brokers.Start(ctx, brokers.Options{Brokers: opts.Brokers, Dir: filepath.Join(opts.Dir, "kafka"), LongLived: opts.LongLived})
		return err
	})
	if err := first.Wait(); err != nil {
		return f, err
	}
	return f, f.startAll(ctx)
}

func (f *Fleet) startAll(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	ferretdb, err := mongotest.Binary()
	if err != nil {
		return err
	}
	mongodb, err := freeAddress()
	if err != nil {
		return err
	}
	database, args := "knatter", []string{"-listen", mongodb, "-data", filepath.Join(f.opts.Dir, "ferretdb")}
	if postgres := os.Getenv(PostgreSQL); postgres != "" {
		database += "-" + strings.ToLower(rand.Text()) // the server keeps what it has
		args = append(args, "-postgresql", postgres)
	}
	if err := f.configure("mongodb://" + mongodb + "/" + database); err != nil {
		return err
	}
	p := f.add(store, ferretdb, mongodb, "", nil)
	p.args = args
	if err := f.launch(ctx, p); err != nil {
		return err
	}
	if _, err := f.Admin(ctx, "topics"); err != nil {
		return err
	}
	if err := f.addFunctions(ctx); err != nil {
		return err
	}
	var connectors []*process
	for i := range f.opts.Connectors {
		p, err := f.addConnector(i)
		if err != nil {
			return err
		}
		connectors = append(connectors, p)
	}
	return f.launch(ctx, connectors...)
}

// configure makes the environment that all processes share.
func (f *Fleet) configure(store string) error {
	keys := filepath.Join(f.opts.Dir, "keys.pem")
	if _, err := auth.LoadOrCreateKey(keys); err != nil {
		return err
	}
	secret := filepath.Join(f.opts.Dir, "caller-secret")
	if _, err := os.Stat(secret); err != nil {
		if err := os.WriteFile(secret, []byte(rand.Text()+"\n"), 0o600); err != nil {
			return err
		}
	}
	f.env = f.cluster.Env()
	maps.Copy(f.env, map[string]string{
		"KNATTER_STORE":               store,
		"KNATTER_KEYS":                keys,
		"KNATTER_CALLER_SECRET_FILE":  secret,
		"KNATTER_PARTITIONS":          strconv.Itoa(f.opts.Partitions),
		"KNATTER_DELIVERY_PARTITIONS": strconv.Itoa(f.opts.Connectors + f.opts.Room),
		"KNATTER_REPLICATION":         strconv.Itoa(min(f.opts.Brokers, 3)),
	})
	maps.Copy(f.env, f.opts.Env)
	return nil
}

// addFunctions adds and starts the functions, then what follows the log for them:
// a dispatcher for each, as there is a KafkaSource for each in a cluster.
func (f *Fleet) addFunctions(ctx context.Context) error {
	var functions, dispatchers []*process
	add := func(name string) (url string, err error) {
		address, err := freeAddress()
		if err != nil {
			return "", err
		}
		if name == "accounts" {
			f.env["KNATTER_JWKS"] = "http://" + address + "/.well-known/jwks.json"
		}
		functions = append(functions, f.add(name, filepath.Join(f.bin, name), address, "http://"+address+"/health/readiness",
			map[string]string{"KNATTER_LISTEN": address}))
		url = "http://" + address
		f.urls["KNATTER_FUNCTION_"+strings.ToUpper(name)] = url
		return url, nil
	}
	for _, name := range chat.RequestFunctions {
		if _, err := add(name); err != nil {
			return err
		}
	}
	for _, fn := range chat.EventFunctions {
		url, err := add(fn.Name)
		if err != nil {
			return err
		}
		admin, err := freeAddress()
		if err != nil {
			return err
		}
		dispatchers = append(dispatchers, f.add("dispatcher-"+fn.Name, filepath.Join(f.bin, "dispatcher"), admin, "http://"+admin+"/readyz",
			map[string]string{"KNATTER_ADMIN": admin, "KNATTER_FUNCTION_" + strings.ToUpper(fn.Name): url}))
	}
	if err := f.launch(ctx, functions...); err != nil {
		return err
	}
	return f.launch(ctx, dispatchers...)
}

func (f *Fleet) addConnector(i int) (*process, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(f.opts.Port+i))
	if f.opts.Port == 0 {
		if address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	env := map[string]string{"KNATTER_ORDINAL": strconv.Itoa(i), "KNATTER_LISTEN": address, "KNATTER_ADMIN": admin}
	maps.Copy(env, f.urls)
	return f.add(connector+strconv.Itoa(i), filepath.Join(f.bin, "connector"), address, "http://"+admin+"/readyz", env), nil
}

const connector = "connector-"

// add adds a process that is to be started.
func (f *Fleet) add(name, binary, address, ready string, env map[string]string) *process {
	p := &process{name: name, binary: binary, address: address, ready: ready, env: env, log: filepath.Join(f.opts.Dir, "logs", name+".log"), onEnd: f.opts.Ended}
	f.processes = append(f.processes, p)
	return p
}

// launch starts processes and returns when they are ready. Each gets the shared
// environment as it is now, with its own over it.
func (f *Fleet) launch(ctx context.Context, processes ...*process) error {
	for _, p := range processes {
		env := maps.Clone(f.env)
		maps.Copy(env, p.env)
		p.env = env
		if err := p.launch(); err != nil {
			return err
		}
	}
	var ready errgroup.Group
	for _, p := range processes {
		ready.Go(func() error { return p.await(ctx) })
	}
	return ready.Wait()
}

// AddConnector adds a connector, and returns its name when it is ready.
func (f *Fleet) AddConnector(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, p := range f.processes {
		if strings.HasPrefix(p.name, connector) {
			n++
		}
	}
	p, err := f.addConnector(n)
	if err != nil {
		return "", err
	}
	return p.name, f.launch(ctx, p)
}

// process finds a process, or the number of a broker.
func (f *Fleet) process(name string) (p *process, brokerID int, err error) {
	for _, p := range f.processes {
		if p.name == name {
			return p, 0, nil
		}
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(name, broker)); err == nil && strings.HasPrefix(name, broker) && 1 <= n && n <= f.opts.Brokers {
		return nil, n, nil
	}
	return nil, 0, fmt.Errorf("there is no process %q", name)
}

// do is done with a process or else with a broker.
func (f *Fleet) do(name string, withProcess func(*process) error, withBroker func(int) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, id, err := f.process(name)
	switch {
	case err != nil:
		return err
	case p != nil:
		return withProcess(p)
	}
	return withBroker(id)
}

// Kill ends a process as kill -9 does.
func (f *Fleet) Kill(name string) error {
	return f.do(name, (*process).kill, func(id int) error { return f.cluster.Kill(id) })
}

// Stop lets a process finish what it is at, and end.
func (f *Fleet) Stop(name string) error {
	return f.do(name, (*process).stop, func(id int) error { return f.cluster.Stop(id) })
}

// Restart starts a process again, after its end, and returns when it is ready.
func (f *Fleet) Restart(ctx context.Context, name string) error {
	return f.do(name, func(p *process) error {
		if err := p.launch(); err != nil {
			return err
		}
		return p.await(ctx)
	}, func(id int) error { return f.cluster.Restart(ctx, id) })
}

// Set sets a variable of a process's environment from its next start on, and
// returns what it was.
func (f *Fleet) Set(name, variable, value string) (before string, err error) {
	err = f.do(name, func(p *process) error {
		before, p.env[variable] = p.env[variable], value
		return nil
	}, func(int) error { return fmt.Errorf("%s has no environment of ours", name) })
	return before, err
}

// Processes are all processes, in the order in which they were started.
func (f *Fleet) Processes() []Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []Process
	for i, address := range f.cluster.Addrs() {
		name := broker + strconv.Itoa(i+1)
		list = append(list, Process{Name: name, PID: f.cluster.PID(i + 1), Address: address, Log: filepath.Join(f.opts.Dir, "kafka", name, "output.log")})
	}
	for _, p := range f.processes {
		list = append(list, p.state())
	}
	return list
}

// URLs are those of the connectors that run.
func (f *Fleet) URLs() (urls []string) {
	for _, p := range f.Processes() {
		if strings.HasPrefix(p.Name, connector) && p.PID != 0 {
			urls = append(urls, "http://"+p.Address)
		}
	}
	return urls
}

// Env is the environment with which programs reach the log, the stores and the
// functions, as the admin command does.
func (f *Fleet) Env() map[string]string {
	env := maps.Clone(f.env)
	maps.Copy(env, f.urls)
	return env
}

// Admin runs the admin command and returns what it prints.
func (f *Fleet) Admin(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(f.bin, "admin"), args...)
	cmd.Env = append(foreign(), variables(f.Env())...)
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("admin %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String(), nil
}

// Settle returns when the functions are done with everything that is in the log now.
func (f *Fleet) Settle(ctx context.Context) error {
	kc, err := open.LogConfig(f.env)
	if err != nil {
		return err
	}
	for {
		_, groups, err := kafka.State(ctx, kc)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(groups, func(g kafka.GroupState) bool { return g.Lag > 0 }) {
			return nil
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return fmt.Errorf("the functions are not done: %+v: %w", groups, ctx.Err())
		}
	}
}

// Close stops all processes, in the reverse of the order in which they were started.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(f.processes) {
		errs = append(errs, p.stop())
	}
	if f.cluster != nil {
		errs = append(errs, f.cluster.Shutdown())
	}
	return errors.Join(errs...)
}
