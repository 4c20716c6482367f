package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/HdrHistogram/hdrhistogram-go"

	"knatter.dev/chat"
)

// socketsPerWorker keeps a worker below the usual limit of 20,000 open files, and
// its source address below the number of ports.
const socketsPerWorker = 15_000

// fleet is the workers of a run, and what they have said so far.
type fleet struct {
	workers []*process
	wg      sync.WaitGroup

	mu      sync.Mutex
	seconds map[int64]*tallied
	phases  map[string]*[kinds]tallied
	rooms   map[chat.RoomID]known
	done    int
	checks  checks // of those that are done
	details []string
	sockets map[*process]int
	resumed map[*process]int64
	ready   int
	err     error
}

// process is one worker.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *json.Encoder
}

// tallied is what all workers counted in a second, or of a phase.
type tallied struct {
	counts       counts
	ack, receipt *hdrhistogram.Histogram
}

// launch starts workers for the users, of whom whole rooms go to each.
func launch(addresses []string, users []user, rooms []chat.RoomID, p profile, connects float64, seed uint64) (*fleet, error) {
	f := &fleet{
		seconds: make(map[int64]*tallied), phases: make(map[string]*[kinds]tallied), rooms: make(map[chat.RoomID]known),
		sockets: make(map[*process]int), resumed: make(map[*process]int64),
	}
	count := max((len(users)+socketsPerWorker-1)/socketsPerWorker, 1)
	if len(rooms) > 0 {
		count = min(count, len(rooms))
	}
	for n := range count {
		pl := plan{Addresses: addresses, TextBytes: p.textBytes, Life: p.life, Connects: connects / float64(count), Seed: seed + uint64(n)}
		if count > 1 {
			pl.Source = fmt.Sprintf("127.0.0.%d", n+2)
		}
		if len(rooms) > 0 {
			for r := n; r < len(rooms); r += count {
				pl.Rooms = append(pl.Rooms, rooms[r])
			}
			// Round by round, so that the worker's socket i is in its room i % rooms.
			for round := 0; round < len(users); round += len(rooms) {
				for r := n; r < len(rooms) && round+r < len(users); r += count {
					pl.Tokens = append(pl.Tokens, users[round+r].token)
				}
			}
		} else {
			for i := n; i < len(users); i += count {
				pl.Tokens = append(pl.Tokens, users[i].token)
			}
		}
		if err := f.start(pl); err != nil {
			return nil, errors.Join(err, f.stop())
		}
	}
	return f, nil
}

func (f *fleet) start(p plan) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "worker")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the coordinator
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	w := &process{cmd: cmd, in: in, lines: json.NewEncoder(in)}
	f.workers = append(f.workers, w)
	f.wg.Go(func() { f.listen(w, out) })
	return w.lines.Encode(p)
}

// listen takes in what a worker says until it ends.
func (f *fleet) listen(w *process, out io.Reader) {
	lines := json.NewDecoder(bufio.NewReader(out))
	for {
		var a account
		err := lines.Decode(&a)
		f.mu.Lock()
		if err == nil {
			err = f.take(w, &a)
		} else if errors.Is(err, io.EOF) && f.done == len(f.workers) {
			f.mu.Unlock()
			return
		}
		if err != nil {
			f.err = errors.Join(f.err, fmt.Errorf("worker: %w", err))
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take is called with f.mu held.
func (f *fleet) take(w *process, a *account) error {
	switch a.Kind {
	case "connected":
		f.ready++
	case "second":
		f.sockets[w], f.resumed[w] = a.Sockets, a.Resumed
		s := f.seconds[a.Second]
		if s == nil {
			s = &tallied{ack: newHistogram(), receipt: newHistogram()}
			f.seconds[a.Second] = s
		}
		s.counts.add(a.Counts)
		return errors.Join(merge(s.ack, a.Ack), merge(s.receipt, a.Receipt))
	case "phase":
		o := f.phases[a.Phase]
		if o == nil {
			o = new([kinds]tallied)
			for k := range o {
				o[k] = tallied{ack: newHistogram(), receipt: newHistogram()}
			}
			f.phases[a.Phase] = o
		}
		of := &o[a.What]
		of.counts.add(a.Counts)
		return errors.Join(merge(of.ack, a.Ack), merge(of.receipt, a.Receipt))
	case "room":
		f.rooms[a.Room.Room] = *a.Room
	case "done":
		f.done++
		f.checks.add(a.Checks)
		f.details = append(f.details, a.Problems...)
	}
	return nil
}

func merge(into *hdrhistogram.Histogram, encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	h, err := hdrhistogram.Decode(encoded)
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	into.Merge(h)
	return nil
}

func (f *fleet) order(o func(workers int) order) error {
	for _, w := range f.workers {
		if err := w.lines.Encode(o(len(f.workers))); err != nil {
			return fmt.Errorf("ordering a worker: %w", err)
		}
	}
	return nil
}

// send lets messages be due at a rate, all workers together.
func (f *fleet) send(name string, from, to int64, rate float64) error {
	return f.order(func(workers int) order {
		return order{Phase: &sending{Name: name, From: from, To: to, Rate: rate / float64(workers)}}
	})
}

// at is what was counted in a second; zero when nothing was.
func (f *fleet) at(t int64) (tallied, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sockets := 0
	for _, n := range f.sockets {
		sockets += n
	}
	copied := tallied{ack: newHistogram(), receipt: newHistogram()} // a worker that is late may add to it still
	if s := f.seconds[t]; s != nil {
		copied.counts = s.counts
		copied.ack.Merge(s.ack)
		copied.receipt.Merge(s.receipt)
	}
	return copied, sockets
}

// total is what was counted so far.
func (f *fleet) total() counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all counts
	for _, s := range f.seconds {
		all.add(s.counts)
	}
	return all
}

func (f *fleet) stop() error {
	for _, w := range f.workers {
		_ = w.in.Close() // at which it ends
	}
	f.wg.Wait()
	var err error
	for _, w := range f.workers {
		err = errors.Join(err, w.cmd.Wait())
	}
	return err
}
