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
	verbose   bool
}

func parse(args []string) (config, error) {
	c := config{functions: make(map[string]*url.URL)}
	fs := flag.NewFlagSet("knatter", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main says what is wrong
	fs.StringVar(&c.listen, "listen", "127.0.0.1:8080", "`address` of the chat: page, WebSocket and HTTP; \":8080\" serves the whole network")
	fs.StringVar(&c.admin, "admin", "127.0.0.1:8081", "`address` of /metrics, /healthz, /readyz and /debug/pprof; \"\" for none")
	fs.StringVar(&c.data, "data", ".knatter/", "`directory` for all that is kept: the log, the stores, the signing key")
	fs.StringVar(&c.brokers, "brokers", "", "`host:port,...` of a Kafka-protocol log to use instead of the embedded one; logging in there, TLS and how its topics are made are set by the environment, as for the cluster's binaries")
	fs.StringVar(&c.store, "store", "", "`URL` of the store to use instead of the embedded one, e.g. pebble:/var/lib/knatter")
	fs.Func("function", "`name=url`: one function that is served elsewhere, e.g. in a debugger; may be repeated; if it demands a secret of its callers, KNATTER_CALLER_SECRET in the environment has it. Names: "+strings.Join(functionNames(), ", "), c.setFunction)
	fs.BoolVar(&c.ephemeral, "ephemeral", false, "keep nothing: log and stores in memory")
	fs.BoolVar(&c.reindex, "reindex", false, "empty the search index first and rebuild it from the stored messages and the log")
	fs.StringVar(&c.origins, "origins", "", "`origins`, comma separated, whose pages may connect beside our own, as https://chat.example; \"*\" for all")
	fs.IntVar(&c.atOnce, "connections", 0, "`number` of connections open at once, sockets among them; 0 for as many as there are files for, less what the process needs itself")
	fs.IntVar(&c.ofOne, "connections-per-address", 0, "`number` of connections of one address that is no trusted proxy's; 0 for three quarters of all")
	fs.Func("trusted-proxies", "`networks`, comma separated, of the proxies in front, as 10.0.0.0/8: they are believed whom they pass on (X-Forwarded-For or Forwarded, from the right) and by which scheme", func(s string) (err error) {
		c.trusted, err = connector.ParseNetworks(program.Words(s))
		return err
	})
	fs.DurationVar(&c.heartbeat, "heartbeat", 25*time.Second, "`time` between pings, at least 1s; a peer silent for two is closed")
	fs.Int64Var(&c.retention, "retention", 256<<20, "`bytes` that the log keeps of each of its 4 partitions; history and search keep everything; below 0 for no limit")
	fs.BoolVar(&c.noSync, "no-sync", false, "acknowledge events before the embedded log has them on the disk: a power cut loses the last of them")
	fs.BoolVar(&c.verbose, "verbose", false, "log more")
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
