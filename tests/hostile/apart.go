package main

import (
	"context"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// asBystander is the name of the flag by which this program is the bystander's process.
const asBystander = "bystander"

// apart is a bystander in a process of its own, which is this program again.
type apart struct {
	calls *rpc.Client
	stop  context.CancelFunc
	ended func() error
}

// pipe is both directions between the two processes.
type pipe struct {
	io.Reader
	io.WriteCloser
}

// bystands is what the bystander's process does until its input ends.
func bystands(ctx context.Context, url string) error {
	b, err := newBystander(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = b.conn.Close() }()
	server := rpc.NewServer()
	if err := server.RegisterName("Bystander", b); err != nil {
		return fmt.Errorf("the bystander: %w", err)
	}
	server.ServeConn(pipe{os.Stdin, os.Stdout})
	return nil
}

func startApart(ctx context.Context, url string) (*apart, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the bystander: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, "-"+asBystander, "-url", url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.Reader
		if out, err = cmd.StdoutPipe(); err == nil {
			if err = cmd.Start(); err == nil {
				return &apart{calls: rpc.NewClient(pipe{out, in}), stop: stop, ended: cmd.Wait}, nil
			}
		}
	}
	stop()
	return nil, fmt.Errorf("the bystander: %w", err)
}

func (b *apart) close() {
	_ = b.calls.Close() // its input ends, and so does it
	b.stop()
	_ = b.ended()
}

// talks is [bystander.Talks].
func (b *apart) talks(ctx context.Context, length time.Duration) (l Latency, err error) {
	err = b.call(ctx, "Talks", length, &l)
	return l, err
}

// resumes is [bystander.Resumes].
func (b *apart) resumes(ctx context.Context) (took time.Duration, err error) {
	err = b.call(ctx, "Resumes", patience, &took)
	return took, err
}

func (b *apart) call(ctx context.Context, method string, d time.Duration, answer any) error {
	call := b.calls.Go("Bystander."+method, d, answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}
