// Command processes runs the whole of Knatter on this machine, each part as a process
// of its own, on Apache Kafka and FerretDB, until it is interrupted.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"knatter.dev/chat/tests/engines/processes/fleet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "processes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	opts := fleet.Options{LongLived: true, Ended: func(name string, err error) {
		fmt.Fprintf(os.Stderr, "processes: %s ended: %v\n", name, err)
	}}
	var reference bool
	flag.IntVar(&opts.Connectors, "connectors", 2, "how many")
	flag.IntVar(&opts.Brokers, "brokers", 1, "of Apache Kafka, how many")
	flag.IntVar(&opts.Port, "port", 8080, "of the first connector, the others' come after it; 0 for free ones")
	flag.IntVar(&opts.Partitions, "partitions", 8, "of chat.rooms, in a new folder")
	flag.StringVar(&opts.Dir, "data", "", "`folder` of all data and logs, which is gone on with; a temporary one if it is not set")
	flag.BoolVar(&reference, "reference", false, "let people talk over the connectors, replay everything from the log, compare, and end; in a new folder")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `Runs every part of Knatter as a process of its own, on Apache Kafka and FerretDB, until it is
interrupted. While it runs it reads commands: stop NAME, kill NAME (as kill -9) and start NAME
are about a process; add makes one more connector; list prints what runs.`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if opts.Dir == "" {
		if opts.Dir, err = os.MkdirTemp("", "knatter-processes-"); err != nil {
			return err
		}
		defer os.RemoveAll(opts.Dir)
	}
	begin := time.Now()
	f, err := fleet.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fmt.Printf("ready after %v\n\n", time.Since(begin).Round(time.Millisecond))
	if err := list(os.Stdout, f); err != nil {
		return err
	}
	if reference {
		return told(ctx, f)
	}
	env := f.Env()
	fmt.Println()
	for _, name := range []string{"KNATTER_BROKERS", "KNATTER_STORE", "KNATTER_KEYS", "KNATTER_CALLER_SECRET_FILE"} {
		fmt.Printf("export %s=%s\n", name, env[name])
	}
	fmt.Printf("export KNATTER_TEST_URL=%s\n", strings.Join(f.URLs(), ","))
	return obeyAll(ctx, f)
}

// told tells the stories.
func told(ctx context.Context, f *fleet.Fleet) error {
	if err := fleet.Talk(ctx, f); err != nil {
		return err
	}
	fmt.Println("\ntalk: two people on two connectors saw one order, read it and found it")
	return fleet.Replay(ctx, f, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
}

// list prints what runs where.
func list(out io.Writer, f *fleet.Fleet) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tPID\tADDRESS\tLOG")
	for _, p := range f.Processes() {
		pid := "-"
		if p.PID != 0 {
			pid = fmt.Sprint(p.PID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, pid, p.Address, filepath.Clean(p.Log))
	}
	return w.Flush()
}

// obeyAll does what is asked for on standard input until ctx ends.
func obeyAll(ctx context.Context, f *fleet.Fleet) error {
	commands := make(chan string)
	go func() { // a read that blocks ends with the process
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			select {
			case commands <- lines.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case command := <-commands:
			if err := obey(ctx, f, strings.Fields(command)); err != nil {
				fmt.Fprintln(os.Stderr, "processes:", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func obey(ctx context.Context, f *fleet.Fleet, words []string) error {
	what := strings.Join(words[:min(len(words), 1)], "")
	if len(words) == 2 {
		switch what {
		case "stop":
			return f.Stop(words[1])
		case "kill":
			return f.Kill(words[1])
		case "start":
			return f.Restart(ctx, words[1])
		}
	}
	if len(words) == 1 {
		switch what {
		case "list":
			return list(os.Stdout, f)
		case "add":
			name, err := f.AddConnector(ctx)
			if err == nil {
				fmt.Println(name, "is ready")
			}
			return err
		}
	}
	return fmt.Errorf("%q is no command: stop, kill or start, and a name; add, list", strings.Join(words, " "))
}
