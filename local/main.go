// Command local runs all of Knatter in one process: connector, functions and
// dispatchers, and an embedded log and store unless flags name others.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/functions"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// threads is the number of threads that run Go code per processor.
const threads = 4

// config holds the values of the flags.
type config struct {
	listen    string
	admin     string
	data      string
	brokers   string
	store     string
	functions map[string]*url.URL // served by other processes, by name
	ephemeral bool
	reindex   bool
	retention int64
	noSync    bool
	private   bool // only clients with the secret may read the log
	verbose   bool
	connector connector.Config
	set       function.Config
}

func newConfig() *config {
	return &config{
		listen: "127.0.0.1:8080", admin: "127.0.0.1:8081", data: ".knatter/",
		functions: make(map[string]*url.URL), retention: 256 << 20, set: function.DefaultConfig(),
	}
}

func (c *config) settings() []setting.Setting {
	served := setting.Func("function", "name=url", "Use the function that is served at this URL (name=url), such as one in a debugger; may be repeated. It is shown KNATTER_CALLER_SECRET of the environment. Names: "+strings.Join(functionNames(), ", "), c.setFunctions)
	served.List = true
	return slices.Concat([]setting.Setting{
		setting.Text(&c.listen, "listen", "address", "Serve page, WebSocket and HTTP on this address; \":8080\" can be reached from the whole network"),
		program.AdminAddress(&c.admin),
		setting.Text(&c.data, "data", "directory", "Keep the log, the stores and the signing key in this directory"),
		setting.Text(&c.brokers, "brokers", "host:port,...", "Use the Kafka-protocol log of these brokers instead of the embedded one; SASL, TLS and topics are set in the environment, as \"admin topics --help\" lists"),
		setting.Text(&c.store, "store", "URL", "Use the store at this URL instead of the embedded one, such as pebble:/var/lib/knatter or mongodb://host/database"),
		served,
		setting.Switch(&c.ephemeral, "ephemeral", "Keep nothing: log and stores are in memory"),
		setting.Switch(&c.reindex, "reindex", "Empty the search index first, and rebuild it from the stored messages and the log"),
		setting.Size(&c.retention, "retention", leastRetention, "Maximum size of each of the log's 4 partitions, in bytes, besides what persist and index have yet to read; -1 means no limit. History and search keep everything"),
		setting.Switch(&c.noSync, "no-sync", "Acknowledge events before the embedded log has synced them; a power cut loses the last ones"),
		setting.Switch(&c.private, "private-log", "Require the embedded log's secret for reading, as for writing"),
		setting.Switch(&c.verbose, "verbose", "Log everything, and print the embedded log's secret"),
	}, connector.Settings(&c.connector), c.functionSettings())
}

// functionSettings are those of all functions, each once.
func (c *config) functionSettings() (all []setting.Setting) {
	for _, f := range functions.All {
		if f.Settings == nil {
			continue
		}
		for _, s := range f.Settings(&c.set) {
			if !slices.ContainsFunc(all, func(other setting.Setting) bool { return other.Name == s.Name }) {
				all = append(all, s)
			}
		}
	}
	return all
}

// check refuses combinations of settings that make no sense. Errors: Invalid.
func (c *config) check() error {
	if c.ephemeral && (c.store != "" || c.brokers != "") {
		return chat.Errorf(chat.Invalid, "--ephemeral is about the embedded log and store: it goes with neither --brokers nor --store")
	}
	if c.private && c.brokers != "" {
		return chat.Errorf(chat.Invalid, "--private-log is about the embedded log: it does not go with --brokers")
	}
	return nil
}

// leastRetention is less than anybody needs, and enough for the log to drop whole
// segments.
const leastRetention = 1 << 20

func (c *config) setFunctions(list string) error {
	for _, one := range setting.Split(list) {
		name, address, ok := strings.Cut(one, "=")
		if !ok || !slices.Contains(functionNames(), name) {
			return fmt.Errorf("must be name=url, with a name of %s", strings.Join(functionNames(), ", "))
		}
		if err := setting.CheckURL(address); err != nil {
			return fmt.Errorf("must be name=url: for %s it %w", name, err)
		}
		c.functions[name], _ = url.Parse(address) // it was checked
	}
	return nil
}

func functionNames() []string {
	names := slices.Clone(chat.RequestFunctions)
	for _, f := range chat.EventFunctions {
		names = append(names, f.Name)
	}
	return names
}

func main() { newConfig().program().Main() }

func (c *config) program() program.Program {
	start := time.Now()
	return program.Program{
		Name:     "knatter",
		Summary:  "Runs Knatter in one process and serves the chat.",
		Settings: c.settings(),
		Terminal: true,
		Run: func(ctx context.Context, call program.Call) error {
			if err := c.check(); err != nil {
				return err
			}
			if c.verbose {
				call.Level.Set(slog.LevelDebug)
			}
			go tendMemory(ctx)
			if os.Getenv("GOMAXPROCS") == "" {
				// The system's scheduler is better at mixing long and short work: it
				// lets a thread that wakes up run first, whereas a ready goroutine
				// waits for the time slice of another. With more threads than
				// processors, it is the one to decide.
				runtime.GOMAXPROCS(threads * runtime.GOMAXPROCS(0))
			}
			return run(ctx, *c, start)
		},
	}
}
