// Command brokers runs Apache Kafka on this machine until it is interrupted, and
// prints the environment with which Knatter reaches it.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"knatter.dev/chat/tests/engines/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "brokers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	opts := kafka.Options{LongLived: true}
	flag.IntVar(&opts.Brokers, "brokers", 1, "how many")
	flag.StringVar(&opts.Host, "host", "127.0.0.1", "address that clients find them at")
	flag.StringVar(&opts.Dir, "data", ".kafka", "folder of their data, which is gone on with")
	flag.IntVar(&opts.Port, "port", 9092, "of the first broker; three times as many ports as brokers are used from there on")
	flag.BoolVar(&opts.Secure, "secure", false, "with TLS, client certificates and SASL")
	flag.IntVar(&opts.Heap, "heap", 400, "of each broker, MiB")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), `Runs Apache Kafka on this machine until it is interrupted, and prints the
environment with which Knatter reaches it. While it runs it reads commands:
kill 2 (as kill -9), stop 2 and start 2 are about the second broker.`)
		flag.PrintDefaults()
	}
	flag.Parse()

	cluster, err := kafka.Start(ctx, opts)
	if err != nil {
		return err
	}
	env := cluster.Env()
	for _, key := range slices.Sorted(maps.Keys(env)) {
		fmt.Printf("export %s=%s\n", key, env[key])
	}

	commands := make(chan string)
	go read(ctx, os.Stdin, commands) // a read that blocks ends with the process
	for {
		select {
		case command := <-commands:
			if err := obey(ctx, cluster, opts.Brokers, command); err != nil {
				fmt.Fprintln(os.Stderr, "brokers:", err)
			}
		case <-ctx.Done():
			return cluster.Shutdown()
		}
	}
}

func read(ctx context.Context, from io.Reader, commands chan<- string) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		select {
		case commands <- lines.Text():
		case <-ctx.Done():
			return
		}
	}
}

func obey(ctx context.Context, cluster *kafka.Cluster, brokers int, command string) error {
	var what string
	var i int
	if _, err := fmt.Sscan(command, &what, &i); err != nil || i < 1 || i > brokers {
		return fmt.Errorf("%q is no command: kill, stop or start, and a broker from 1 to %d", command, brokers)
	}
	switch what {
	case "kill":
		return cluster.Kill(i)
	case "stop":
		return cluster.Stop(i)
	case "start":
		return cluster.Restart(ctx, i)
	}
	return fmt.Errorf("%q is no command", what)
}
