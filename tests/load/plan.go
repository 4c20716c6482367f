package main

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"knatter.dev/chat"
)

// What the coordinator and its workers, which are processes of the same binary,
// tell each other: one JSON document a line.

// plan is what a worker has to know. Whole rooms belong to one worker, so that it
// can check by itself that every member got everything.
type plan struct {
	Addresses []string      `json:"addresses"` // host:port of each of the server's connectors
	Source    string        `json:"source"`    // address that the sockets come from
	Tokens    []string      `json:"tokens"`    // one socket each
	Rooms     []chat.RoomID `json:"rooms"`     // user i is in room i % len(Rooms); none: sockets only log in
	TextBytes int           `json:"textBytes"`
	Life      life          `json:"life"`
	Connects  float64       `json:"connects"` // sockets opened a second
	Seed      uint64        `json:"seed"`
}

// order is what a worker is to do next.
type order struct {
	Phase  *sending `json:"phase,omitempty"`
	Cut    *cut     `json:"cut,omitempty"`
	Finish bool     `json:"finish,omitempty"`
}

// sending is one phase: messages are due at a rate from one time to another, on
// the shared clock.
type sending struct {
	Name     string  `json:"name"`
	From, To int64   // ns
	Rate     float64 `json:"rate"` // of this worker, messages a second
}

// cut ends all sockets at once, as when a proxy dies; each comes back at a random
// moment within Over nanoseconds.
type cut struct {
	At, Over int64
}

// account is what a worker says: every second, and about each phase at the end.
type account struct {
	Kind     string   `json:"kind"` // connected, second, phase, room, done, failed
	Error    string   `json:"error,omitempty"`
	Second   int64    `json:"second,omitempty"` // of the shared clock
	Sockets  int      `json:"sockets"`
	Phase    string   `json:"phase,omitempty"`
	What     kind     `json:"what,omitempty"` // kind of the events of the phase
	Counts   counts   `json:"counts"`
	Ack      []byte   `json:"ack,omitempty"`     // histogram of microseconds
	Receipt  []byte   `json:"receipt,omitempty"` // histogram of microseconds
	Checks   checks   `json:"checks"`
	Resumed  int64    `json:"resumed,omitempty"` // ns from the last cut to the last socket being live
	Problems []string `json:"problems,omitempty"`
	Room     *known   `json:"room,omitempty"`
}

// known is what the receivers of a room know of it at the end.
type known struct {
	Room     chat.RoomID `json:"room"`
	Messages []state     `json:"messages"` // the last ones, oldest first
	Marks    []int64     `json:"marks"`    // read marks, in the order of the members
}

type counts struct {
	Due, Sent, Acked, Refused, Received, Expected uint64
	Overtaken                                     uint64 // refused as the message had been recalled meanwhile
	Others                                        uint64 // received, of the other kinds of events
}

func (c *counts) add(o counts) {
	c.Due += o.Due
	c.Sent += o.Sent
	c.Acked += o.Acked
	c.Refused += o.Refused
	c.Received += o.Received
	c.Expected += o.Expected
	c.Overtaken += o.Overtaken
	c.Others += o.Others
}

type checks struct {
	Lost, Doubled, Disordered, Unexpected, Unacked, Disconnects uint64
	Resent                                                      uint64 // dropped by the receiver, as clients do
	Differing                                                   uint64 // receivers who do not know what others know
}

func (c *checks) add(o checks) {
	c.Lost += o.Lost
	c.Doubled += o.Doubled
	c.Disordered += o.Disordered
	c.Unexpected += o.Unexpected
	c.Unacked += o.Unacked
	c.Disconnects += o.Disconnects
	c.Resent += o.Resent
	c.Differing += o.Differing
}

// newHistogram holds 1 µs to 5 minutes with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 300_000_000, 3) }

func record(h *hdrhistogram.Histogram, ns int64) {
	// Out of range is not possible but for stalls of minutes, which count as that.
	_ = h.RecordValue(min(max(ns/1000, 1), 300_000_000))
}

func encode(h *hdrhistogram.Histogram) []byte {
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(err) // it writes to memory
	}
	return b
}
