// Package kafka runs Apache Kafka on this machine: real brokers (KRaft, each a
// broker and a controller) from Maven Central's jars, which fetch.sh gets, with
// or without TLS and SASL, to be stopped, killed and started again one by one.
//
// Tests call [StartCluster]; people and scripts run
//
//	go run ./tests/engines/kafka/brokers --help
package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what cluster to run. Zero values are the defaults.
type Options struct {
	Brokers int    // default 1
	Host    string // where clients find the brokers; default 127.0.0.1
	Dir     string // of data, configuration and output; required. What it holds is gone on with.
	Port    int    // of the first broker's clients, the others' come after it; default: free ones
	Secure  bool   // clients need TLS, a certificate, and SASL
	Heap    int    // MiB for each broker; default 256

	// LongLived lets the JVM compile all it can, for measurements. Without it
	// brokers start sooner.
	LongLived bool

	// Settings are added to each broker's server.properties.
	Settings map[string]string
}

// startTimeout is how long brokers may take to start, stopTimeout to stop.
const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
)

// Cluster is a running cluster. Its brokers end with the process that started
// them, whatever ends that. It is not safe for concurrent use.
type Cluster struct {
	opts    Options
	jars    string // class path
	brokers []*broker
	files   secrets // when secure
}

// broker is one node; while it runs, one goroutine waits for its end.
type broker struct {
	id                       int
	dir, host                string
	client, internal, quorum int // ports
	ended                    chan struct{}
	process                  *os.Process
	mu                       sync.Mutex
	running                  bool
	exit                     error
}

// Start runs a cluster and returns when its brokers answer.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	opts.Brokers = max(opts.Brokers, 1)
	opts.Host = cmp.Or(opts.Host, "127.0.0.1")
	if opts.Heap == 0 {
		opts.Heap = 256
	}
	if opts.Secure && opts.Host != "127.0.0.1" {
		return nil, errors.New("the brokers' certificates are for 127.0.0.1 alone")
	}
	if opts.Dir == "" {
		return nil, errors.New("no folder given for the brokers' data")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	if strings.Contains(dir, ",") {
		return nil, fmt.Errorf("%s: to Kafka, a comma is between two folders", dir)
	}
	opts.Dir = dir
	c := &Cluster{opts: opts}
	if c.jars, err = fetch(ctx); err != nil {
		return nil, err
	}
	if err := c.layOut(); err != nil {
		return nil, err
	}
	err = c.each(func(b *broker) error {
		if err := c.format(ctx, b); err != nil {
			return err
		}
		return c.launch(b)
	})
	if err == nil {
		err = c.each(func(b *broker) error { return c.await(ctx, b) })
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// fetch has the jars fetched, and returns the class path.
func fetch(ctx context.Context) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	var out, complaint strings.Builder
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(here), "fetch.sh"))
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("fetching Kafka: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return filepath.Join(strings.TrimSpace(out.String()), "*"), nil
}

func java() string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java")
	}
	return "java"
}

// layOut gives each broker its ports and writes the configuration.
func (c *Cluster) layOut() error {
	ports, err := c.ports()
	if err != nil {
		return err
	}
	for i := range c.opts.Brokers {
		c.brokers = append(c.brokers, &broker{
			id:     i + 1,
			dir:    filepath.Join(c.opts.Dir, fmt.Sprint("broker-", i+1)),
			host:   c.opts.Host,
			client: ports[i], internal: ports[c.opts.Brokers+i], quorum: ports[2*c.opts.Brokers+i],
		})
	}
	if c.opts.Secure {
		if c.files, err = makeSecrets(filepath.Join(c.opts.Dir, "secrets")); err != nil {
			return err
		}
	}
	for _, b := range c.brokers {
		if err := os.MkdirAll(b.dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(b.path("server.properties"), c.properties(b), 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(b.path("log4j2.properties"), []byte(logging), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ports are three for each broker.
func (c *Cluster) ports() ([]int, error) {
	ports := make([]int, 3*c.opts.Brokers)
	for i := range ports {
		if c.opts.Port != 0 {
			ports[i] = c.opts.Port + i
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only when all are chosen, so that they differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// Addrs are the brokers' addresses for clients.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		addrs[i] = b.addr()
	}
	return addrs
}

// Env is the environment with which Knatter's programs reach the cluster.
func (c *Cluster) Env() map[string]string {
	env := map[string]string{"KNATTER_BROKERS": strings.Join(c.Addrs(), ",")}
	if c.opts.Secure {
		maps.Copy(env, map[string]string{
			"KNATTER_SASL_MECHANISM":     "SCRAM-SHA-512",
			"KNATTER_SASL_USER":          user,
			"KNATTER_SASL_PASSWORD_FILE": c.files.password,
			"KNATTER_TLS":                "true",
			"KNATTER_TLS_CA":             c.files.ca,
			"KNATTER_TLS_CERT":           c.files.clientCert,
			"KNATTER_TLS_KEY":            c.files.clientKey,
		})
	}
	return env
}

// Internal is where the other brokers find broker i, counted from 1, without TLS
// and SASL.
func (c *Cluster) Internal(i int) string { return fmt.Sprint("127.0.0.1:", c.broker(i).internal) }

// Dir is where broker i, counted from 1, has its data.
func (c *Cluster) Dir(i int) string { return c.broker(i).path("data") }

// Kill ends broker i, counted from 1, as kill -9 does.
func (c *Cluster) Kill(i int) error {
	b := c.broker(i)
	if !b.alive() {
		return fmt.Errorf("broker %d does not run", i)
	}
	if err := b.process.Kill(); err != nil {
		return err
	}
	<-b.ended
	return nil
}

// Stop lets broker i hand over what it leads and end; it is killed if that takes
// too long.
func (c *Cluster) Stop(i int) error {
	b := c.broker(i)
	if !b.alive() {
		return nil
	}
	if err := b.process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-b.ended:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("broker %d does not stop", i), c.Kill(i))
	}
}

// Restart starts broker i again, after its end, and returns when it answers.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	b := c.broker(i)
	if b.alive() {
		return fmt.Errorf("broker %d runs", i)
	}
	if err := c.launch(b); err != nil {
		return err
	}
	return c.await(ctx, b)
}

// PID is the process of broker i, counted from 1; 0 if it does not run.
func (c *Cluster) PID(i int) int {
	b := c.broker(i)
	if !b.alive() {
		return 0
	}
	return b.process.Pid
}

// Ended is closed when broker i, which runs, has ended.
func (c *Cluster) Ended(i int) <-chan struct{} { return c.broker(i).ended }

// Shutdown stops all brokers, as gracefully as brokers can that all go at once.
func (c *Cluster) Shutdown() error {
	return c.each(func(b *broker) error { return c.Stop(b.id) })
}

// Close kills all brokers.
func (c *Cluster) Close() error {
	return c.each(func(b *broker) error {
		if !b.alive() {
			return nil
		}
		return c.Kill(b.id)
	})
}

func (c *Cluster) broker(i int) *broker { return c.brokers[i-1] }

// each calls f for all brokers side by side.
func (c *Cluster) each(f func(*broker) error) error {
	errs := make([]error, len(c.brokers))
	var wg sync.WaitGroup
	for i, b := range c.brokers {
		wg.Go(func() { errs[i] = f(b) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// format prepares an empty data folder.
func (c *Cluster) format(ctx context.Context, b *broker) error {
	if _, err := os.Stat(filepath.Join(b.path("data"), "meta.properties")); err == nil {
		return nil
	}
	args := []string{"-XX:TieredStopAtLevel=1", "-cp", c.jars, "kafka.tools.StorageTool", "format", "--cluster-id", clusterID, "--config", b.path("server.properties")}
	if c.opts.Secure {
		password, err := os.ReadFile(c.files.password)
		if err != nil {
			return err
		}
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, password))
		}
	}
	if out, err := exec.CommandContext(ctx, java(), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting broker %d: %w: %s", b.id, err, out)
	}
	return nil
}

func (c *Cluster) launch(b *broker) error {
	out, err := os.Create(b.path("output.log"))
	if err != nil {
		return err
	}
	args := []string{fmt.Sprintf("-Xmx%dm", c.opts.Heap), "-Dlog4j2.configurationFile=" + b.path("log4j2.properties"), "-cp", c.jars, "kafka.Kafka", b.path("server.properties")}
	if !c.opts.LongLived {
		args = slices.Insert(args, 0, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
	}
	cmd := exec.Command(java(), args...)
	cmd.Stdout, cmd.Stderr = out, out
	// The brokers end with us, and not by the Ctrl-C that is for us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	started, ended := make(chan error), make(chan struct{})
	b.ended = ended
	go func() { // ends with the process
		defer close(ended)
		defer out.Close()
		// To the kernel, a process's parent is the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			b.process = cmd.Process
			b.set(true, nil)
		}
		started <- err
		if err == nil {
			b.set(false, cmd.Wait())
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("broker %d: %w", b.id, err)
	}
	return nil
}

// await returns when a broker that was launched answers.
func (c *Cluster) await(ctx context.Context, b *broker) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		said, err := os.ReadFile(b.path("output.log"))
		if err != nil {
			return err
		}
		if strings.Contains(string(said), "Kafka Server started") {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-b.ended:
			err = errors.New("ended")
		case <-ctx.Done():
			err = ctx.Err()
		}
		return fmt.Errorf("broker %d: %w while it was starting: %s", b.id, err, said[max(0, len(said)-2000):])
	}
}

// Output writes the last lines that each broker has written.
func (c *Cluster) Output(w io.Writer, bytes int) {
	for _, b := range c.brokers {
		said, _ := os.ReadFile(b.path("output.log"))
		fmt.Fprintf(w, "--- broker %d\n%s\n", b.id, said[max(0, len(said)-bytes):])
	}
}

func (b *broker) path(name string) string { return filepath.Join(b.dir, name) }

func (b *broker) addr() string { return net.JoinHostPort(b.host, strconv.Itoa(b.client)) }

func (b *broker) set(running bool, exit error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running, b.exit = running, exit
}

func (b *broker) alive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}
