package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Result is everything that one load run measured. It is written as JSON beside the HTML report, so that two runs can be compared later.
type Result struct {
	Profile     string            `json:"profile"`               // name of the profile that ran: seed, ...
	Title       string            `json:"title"`                 // headline of the report
	Started     time.Time         `json:"started"`               // wall clock at second 0 of Series
	Seconds     float64           `json:"seconds"`               // length of the whole run
	Machine     Machine           `json:"machine"`               // what it ran on
	Command     string            `json:"command"`               // command line that repeats the run
	Interrupted bool              `json:"interrupted,omitempty"` // ended before its plan did: figures are partial
	Users       int               `json:"users"`                 // people with an open socket
	Rooms       int               `json:"rooms"`
	TextBytes   int               `json:"textBytes"` // mean length of a message's text in bytes
	Settings    map[string]string `json:"settings,omitempty"`
	Phases      []Phase           `json:"phases,omitempty"`
	Series      []Second          `json:"series,omitempty"` // one entry per second, in order of T
	Checks      Checks            `json:"checks"`
	Targets     []Target          `json:"targets,omitempty"`
	Stages      []Stage           `json:"stages,omitempty"`
	Notes       []string          `json:"notes,omitempty"`
}

// Machine is the computer that the run was made on.
type Machine struct {
	CPUs        int    `json:"cpus"` // logical processors
	CPUModel    string `json:"cpuModel"`
	MemoryBytes uint64 `json:"memoryBytes"`
	Kernel      string `json:"kernel"`
	GoVersion   string `json:"goVersion"`
	Revision    string `json:"revision"` // commit that was measured
}

// Phase is a part of the run with one rate: warm-up, steady, peak, drain.
// Its figures count the messages that were due within it, also when their answers arrived after it.
type Phase struct {
	Name            string  `json:"name"`
	Measured        bool    `json:"measured"`        // false for a phase that only prepares: warm-up, drain
	From            float64 `json:"from"`            // seconds since the start of the run
	To              float64 `json:"to"`              // seconds since the start of the run
	Rate            float64 `json:"rate"`            // messages due a second
	Due             uint64  `json:"due"`             // messages that the schedule called for
	Sent            uint64  `json:"sent"`            // messages written to a socket
	Acked           uint64  `json:"acked"`           // messages that the server confirmed
	Refused         uint64  `json:"refused"`         // messages that the server answered with an error
	Received        uint64  `json:"received"`        // copies that reached recipients
	Expected        uint64  `json:"expected"`        // copies that had to reach recipients
	Ack             Latency `json:"ack"`             // from due time to confirmation
	Receipt         Latency `json:"receipt"`         // from due time to a recipient's socket
	LagDrainSeconds float64 `json:"lagDrainSeconds"` // time after the phase until no function lagged
	Others          []Other `json:"others,omitempty"`
}

// Other is what became of a phase's events of a kind that is no message, such as
// reactions.
type Other struct {
	Name      string  `json:"name"` // of the kind
	Sent      uint64  `json:"sent"`
	Acked     uint64  `json:"acked"`
	Refused   uint64  `json:"refused"`
	Overtaken uint64  `json:"overtaken"` // refused rightly: what they were about was gone meanwhile
	Received  uint64  `json:"received"`
	Expected  uint64  `json:"expected"` // for signals, which may be dropped, if none were
	Ack       Latency `json:"ack"`
	Receipt   Latency `json:"receipt"`
}

// Latency sums up many durations. All values are milliseconds; all are zero if Count is.
type Latency struct {
	Count        uint64     `json:"count"`
	Min          float64    `json:"min"`
	Mean         float64    `json:"mean"`
	P50          float64    `json:"p50"`
	P90          float64    `json:"p90"`
	P99          float64    `json:"p99"`
	P999         float64    `json:"p999"`
	Max          float64    `json:"max"`
	Distribution []Quantile `json:"distribution,omitempty"` // ascending, for the plot of latency by percentile
}

// Quantile is one point of a distribution: the share Quantile (0 to 1) of all durations was Value milliseconds or less.
type Quantile struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"` // ms
}

// Second is what happened in one second of the run.
type Second struct {
	T         float64            `json:"t"`     // seconds since the start of the run, at the end of this second
	Phase     string             `json:"phase"` // Name of the phase it belongs to
	Due       uint64             `json:"due"`
	Sent      uint64             `json:"sent"`
	Acked     uint64             `json:"acked"`
	Refused   uint64             `json:"refused"`
	Received  uint64             `json:"received"`
	Others    uint64             `json:"others,omitempty"`    // received, of other kinds than messages
	Ack       Percentiles        `json:"ack"`                 // of the confirmations that arrived in this second
	Receipt   Percentiles        `json:"receipt"`             // of the copies that arrived in this second
	Processes map[string]Usage   `json:"processes,omitempty"` // by process name
	Lag       map[string]float64 `json:"lag,omitempty"`       // records not yet handled, by function
	Sockets   int                `json:"sockets"`             // open at the end of this second
}

// Percentiles of the durations of one second, in milliseconds; all zero if there were none.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Usage is what one process took in one second.
type Usage struct {
	Cores         float64 `json:"cores"`         // CPU seconds per second
	ResidentBytes uint64  `json:"residentBytes"` // memory that is resident
	Threads       int     `json:"threads"`
	FDs           int     `json:"fds"` // open file descriptors
}

// Checks counts what must never happen: every figure of a good run is zero, except Refused where the profile asks for refusals.
type Checks struct {
	Lost        uint64   `json:"lost"`       // confirmed, but a recipient never got it
	Doubled     uint64   `json:"doubled"`    // delivered more than once to one socket
	Disordered  uint64   `json:"disordered"` // delivered after a later one of the same room
	Unexpected  uint64   `json:"unexpected"` // delivered, but never sent or not for this recipient
	Refused     uint64   `json:"refused"`    // answered with an error
	Unacked     uint64   `json:"unacked"`    // sent, but never answered
	Disconnects uint64   `json:"disconnects"`
	Differing   uint64   `json:"differing,omitempty"` // receivers and rooms that do not know at the end what the others do
	Details     []string `json:"details,omitempty"`   // the first few offences, in words
}

// Target is a promise that the run is held to.
type Target struct {
	Name     string `json:"name"`
	Limit    string `json:"limit"`
	Measured string `json:"measured"`
	OK       bool   `json:"ok"`
}

// Stage is where a part of the CPU time goes: as measured under load, and the floor that a benchmark of the bare work gives.
type Stage struct {
	Name             string  `json:"name"`
	MicrosPerMessage float64 `json:"microsPerMessage"` // CPU µs per message sent, measured in the run
	FloorMicros      float64 `json:"floorMicros"`      // CPU µs per message that the work itself needs; 0 if unknown
	Note             string  `json:"note,omitempty"`
}

// Read reads a result that Write wrote.
func Read(path string) (*Result, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	r := &Result{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read result %s: %w", path, err)
	}
	return r, nil
}

// Write writes the result as JSON. A reader sees the old file or the whole new one, never a part.
func (r *Result) Write(path string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already once it has been renamed
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
