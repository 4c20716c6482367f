// Command local runs the whole of Knatter in one process: connector, functions,
// dispatcher, and a log and stores that are embedded unless flags name others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/internal/program"
)

// threads run Go code for each processor.
const threads = 4

// config is what the flags say.
type config struct {
	listen    string
	admin     string
	data      string
	brokers   string
	store     string
	functions map[string]*url.URL // served from elsewhere, by name
	ephemeral bool
	reindex   bool
	origins   string
	trusted   []netip.Prefix
	atOnce    int // connections
	ofOne     int // address
	heartbeat time.Duration
	retention int64
	noSync    bool
	private   bool // the log
	verbose   bool
	version   bool
}

func parse(args []string) (config, error) {
	c := config{functions: make(map[string]*url.URL)}
	fs := flag.NewFlagSet("knatter", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main says what is wrong
	fs.StringVar(&c.listen, "listen", "127.0.0.1:8080", "Serve page, WebSocket and HTTP on this `address`; \":8080\" can be reached from the whole network")
	fs.StringVar(&c.admin, "admin", "127.0.0.1:8081", "Serve /metrics, /healthz, /readyz and /debug/pprof on this `address`; \"\" disables it")
	fs.StringVar(&c.data, "data", ".knatter/", "Keep the log, the stores and the signing key in this `directory`")
	fs.StringVar(&c.brokers, "brokers", "", "Use the Kafka-protocol log of these brokers (`host:port,...`) instead of the embedded one; SASL, TLS and topics are set in the environment, as \"admin topics --help\" lists")
	fs.StringVar(&c.store, "store", "", "Use the store at this `URL` instead of the embedded one, such as pebble:/var/lib/knatter or mongodb://host/database")
	fs.Func("function", "Use the function that is served at this URL (`name=url`), such as one in a debugger; may be repeated. It is shown KNATTER_CALLER_SECRET of the environment. Names: "+strings.Join(functionNames(), ", "), c.setFunction)
	fs.BoolVar(&c.ephemeral, "ephemeral", false, "Keep nothing: log and stores are in memory")
	fs.BoolVar(&c.reindex, "reindex", false, "Empty the search index first, and rebuild it from the stored messages and the log")
	fs.StringVar(&c.origins, "origins", "", "Let pages of these other `origins` connect, such as https://chat.example, separated by commas; \"*\" allows all")
	fs.IntVar(&c.atOnce, "connections", 0, "Maximum `number` of open connections, sockets included; 0 means as many as the limit of open files allows")
	fs.IntVar(&c.ofOne, "connections-per-address", 0, "Maximum `number` of open connections from one address that is not a trusted proxy's; 0 means three quarters of all")
	fs.Func("trusted-proxies", "Believe proxies in these `networks`, such as 10.0.0.0/8, separated by commas, about the client's address (X-Forwarded-For or Forwarded, from the right) and scheme", func(s string) (err error) {
		c.trusted, err = edge.ParseNetworks(program.Words(s))
		return err
	})
	fs.DurationVar(&c.heartbeat, "heartbeat", 25*time.Second, "Interval between pings, as a `time` of at least 1s; a peer silent for two intervals is closed")
	fs.Int64Var(&c.retention, "retention", 256<<20, "Maximum size of each of the log's 4 partitions, in `bytes`, besides what persist and index have yet to read; below 0 means no limit. History and search keep everything")
	fs.BoolVar(&c.noSync, "no-sync", false, "Acknowledge events before the embedded log has synced them; a power cut loses the last ones")
	fs.BoolVar(&c.private, "private-log", false, "Require the embedded log's secret for reading, as for writing")
	fs.BoolVar(&c.verbose, "verbose", false, "Log more, and print the embedded log's secret")
	fs.BoolVar(&c.version, "version", false, "Print the version and exit")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return c, help{fs}
	} else if err != nil {
		return c, program.FlagError(err)
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if c.atOnce < 0 || c.ofOne < 0 {
		return c, errors.New("--connections and --connections-per-address must not be below 0")
	}
	if c.ephemeral && (c.store != "" || c.brokers != "") {
		return c, errors.New("--ephemeral is about the embedded log and store: it goes with neither --brokers nor --store")
	}
	if c.private && c.brokers != "" {
		return c, errors.New("--private-log is about the embedded log: it does not go with --brokers")
	}
	if c.retention >= 0 && c.retention < leastRetention {
		return c, fmt.Errorf("--retention must be at least %d, or below 0 for no limit", leastRetention)
	}
	if c.heartbeat < connector.LeastHeartbeat {
		return c, fmt.Errorf("--heartbeat must be at least %v", connector.LeastHeartbeat)
	}
	return c, nil
}

// leastRetention is less than what any use needs, and enough for the log to drop
// whole segments.
const leastRetention = 1 << 20

// help is the answer to --help.
type help struct{ flags *flag.FlagSet }

func (help) Error() string { return flag.ErrHelp.Error() }

func (h help) print(w io.Writer) {
	_, _ = fmt.Fprint(w, "Usage: knatter [flags]\n\nRuns Knatter in one process and serves the chat.\n")
	h.flags.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		_, _ = fmt.Fprintf(w, "\n  --%s\n      %s\n", strings.TrimSpace(f.Name+" "+value+"  "+given(f)), usage)
	})
}

// given is the default of a flag, if it has one worth telling.
func given(f *flag.Flag) string {
	switch f.DefValue {
	case "", "0", "false":
		return ""
	}
	return "(default " + f.DefValue + ")"
}

func (c *config) setFunction(s string) error {
	name, address, ok := strings.Cut(s, "=")
	if !ok || !slices.Contains(functionNames(), name) {
		return fmt.Errorf("must be name=url, with a name of %s", strings.Join(functionNames(), ", "))
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not an http URL", address)
	}
	c.functions[name] = u
	return nil
}

func functionNames() []string {
	names := slices.Clone(chat.RequestFunctions)
	for _, f := range chat.EventFunctions {
		names = append(names, f.Name)
	}
	return names
}

func main() {
	start := time.Now()
	cfg, err := parse(os.Args[1:])
	var asked help
	switch {
	case errors.As(err, &asked):
		asked.print(os.Stdout)
		return
	case err == nil && cfg.version:
		fmt.Println("knatter", program.Version())
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "knatter: %v; --help lists the flags\n", err)
		os.Exit(2)
	}
	level := slog.LevelWarn
	if cfg.verbose {
		level = slog.LevelDebug
	}
	slog.SetDefault(slog.New(program.Calm(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	go tendMemory(ctx)
	if os.Getenv("GOMAXPROCS") == "" {
		// Long work beside short work is what the system's scheduler is better at: it
		// lets a thread that wakes up go first, where a goroutine that is ready waits
		// for a time slice of another's. With more threads than processors it decides.
		runtime.GOMAXPROCS(threads * runtime.GOMAXPROCS(0))
	}
	if err := run(ctx, cfg, start); err != nil {
		fmt.Fprintln(os.Stderr, "knatter:", err)
		os.Exit(1)
	}
}
