// Command ferretdb is a server of MongoDB's protocol for tests, for machines where
// MongoDB itself cannot be had: FerretDB with its SQLite backend. It is a module of
// its own, so that FerretDB's dependencies stay out of the product's.
//
//	go run . -listen 127.0.0.1:27017 -data /tmp/ferretdb
//
// FerretDB 1 does what MongoDB never does: it carries out an update of a document
// as a find and then a write, between which another client can change the document,
// so that one of two increments is lost. Clients are therefore let in through a
// [gate], which passes changes on one at a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`address` for clients; its URL is printed when it is there")
	data := flag.String("data", "", "`directory` of the data; without one they are gone at the end")
	postgres := flag.String("postgresql", "", "`URL` of a database of a PostgreSQL server that keeps the data, instead of SQLite")
	stdin := flag.Bool("stdin", false, "end when the standard input does, as it does when the process that holds its other end is gone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *stdin {
		go func() { // ends with the process at the latest
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := run(ctx, *listen, *data, *postgres); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, listen, data, postgres string) error {
	scratch, err := os.MkdirTemp("", "ferretdb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if data == "" {
		data = filepath.Join(scratch, "data")
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer l.Close()

	socket := filepath.Join(scratch, "socket")
	config := &ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + data + "/",
	}
	if postgres != "" {
		config.Handler, config.PostgreSQLURL = "postgresql", postgres
	}
	server, err := ferretdb.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- server.Run(ctx)
	}()
	context.AfterFunc(ctx, func() { l.Close() })

	fmt.Printf("mongodb://%s/\n", l.Addr())
	if err := (&gate{server: socket}).serve(l); ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	cancel()
	return <-ended
}
