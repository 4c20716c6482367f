package socket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// owner notes what it is told.
type owner struct {
	frames []int
	pings  []string
	busy   int
	err    error // of Frame
}

func (o *owner) Frame(n int) error { o.frames = append(o.frames, n); return o.err }
func (o *owner) Ping(b []byte)     { o.pings = append(o.pings, string(b)) }
func (o *owner) Busy(b bool) {
	if b {
		o.busy++
	} else {
		o.busy--
	}
}

const fin = 0x80

// frame is a client's frame.
func frame(first byte, payload string) string {
	h := ws.Header{Fin: first&fin != 0, Rsv: first >> 4 & 7, OpCode: ws.OpCode(first & 15), Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: int64(len(payload))}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	masked := []byte(payload)
	ws.Cipher(masked, h.Mask, 0)
	return b.String() + string(masked)
}

func closeFrame(code int, reason string) string {
	return frame(fin|8, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// header is a masked header with a length that does not follow.
func header(first byte, length uint64) string {
	return string(append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, length), 1, 2, 3, 4))
}

func TestMessages(t *testing.T) {
	input := frame(fin|1, "one") +
		frame(fin|9, "ping") +
		frame(fin|10, "") +
		frame(1, "t") + frame(fin|9, "between") + frame(0, "") + frame(fin|10, "ignored") + frame(fin, "wo 둘") +
		frame(1, "\xeb") + frame(fin, "\x91\x98") + // one character in two fragments
		frame(fin|2, "\xff") +
		frame(fin|1, strings.Repeat("x", 1000)) +
		frame(fin|1, "") +
		closeFrame(1000, "bye")
	var o owner
	r := NewReader(strings.NewReader(input), &o, 1000)
	for _, want := range []struct {
		op   Op
		data string
	}{
		{Text, "one"}, {Ping, "ping"}, {Pong, ""}, {Text, "two 둘"}, {Text, "둘"}, {Binary, "\xff"}, {Text, strings.Repeat("x", 1000)}, {Text, ""},
	} {
		var buf bytes.Buffer
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		op, err := r.Next(&buf)
		if err != nil || op != want.op || buf.String() != want.data {
			t.Fatalf("%v %q %v, want %v %q", op, buf.String(), err, want.op, want.data)
		}
		if o.busy != 0 {
			t.Errorf("busy %d after a message", o.busy)
		}
	}
	if _, err := r.Next(new(bytes.Buffer)); !errors.Is(err, ErrClosed) {
		t.Errorf("%v after the close frame", err)
	}
	if !slices.Equal(o.pings, []string{"between"}) {
		t.Errorf("pings %q", o.pings)
	}
	if len(o.frames) != 14 {
		t.Errorf("%d frames were counted: %v", len(o.frames), o.frames)
	}
}

func TestWhatTheProtocolForbids(t *testing.T) {
	for what, test := range map[string]struct {
		input string
		code  int // 0: closed by the client
	}{
		"close":                             {frame(fin|8, ""), 0},
		"close of one byte":                 {frame(fin|8, "x"), 1002},
		"close 1000":                        {closeFrame(1000, ""), 0},
		"close 1014":                        {closeFrame(1014, ""), 0},
		"close 3000":                        {closeFrame(3000, "reason"), 0},
		"close 4999":                        {closeFrame(4999, ""), 0},
		"close 0":                           {closeFrame(0, ""), 1002},
		"close 999":                         {closeFrame(999, ""), 1002},
		"close 1004":                        {closeFrame(1004, ""), 1002},
		"close 1005":                        {closeFrame(1005, ""), 1002},
		"close 1006":                        {closeFrame(1006, ""), 1002},
		"close 1015":                        {closeFrame(1015, ""), 1002},
		"close 2999":                        {closeFrame(2999, ""), 1002},
		"close 5000":                        {closeFrame(5000, ""), 1002},
		"close, reason not UTF-8":           {closeFrame(1000, "\xff"), 1007},
		"close of 126 bytes":                {frame(fin|8, "\x03\xe8"+strings.Repeat("x", 124)), 1002},
		"close in fragments":                {frame(8, ""), 1002},
		"close between fragments":           {frame(1, "x") + closeFrame(1000, ""), 0},
		"ping of 126 bytes":                 {frame(fin|9, strings.Repeat("x", 126)), 1002},
		"ping in fragments":                 {frame(9, "x"), 1002},
		"pong of 2^63 bytes":                {header(fin|10, 1<<63), 1002},
		"a reserved bit":                    {frame(fin|1<<4|1, "x"), 1002},
		"compressed":                        {frame(fin|1<<6|1, "x"), 1002},
		"an unknown data frame":             {frame(fin|3, ""), 1002},
		"an unknown control frame":          {frame(fin|11, ""), 1002},
		"not masked":                        {"\x81\x01x", 1002},
		"not masked, empty":                 {"\x81\x00", 1002},
		"a continuation of nothing":         {frame(fin, "x"), 1002},
		"a message within one":              {frame(1, "x") + frame(fin|1, "y"), 1002},
		"a message within one, empty":       {frame(1, "") + frame(1, ""), 1002},
		"2^63 bytes":                        {header(fin|1, 1<<63), 1002},
		"2^64-1 bytes":                      {header(fin|1, 1<<64-1), 1002},
		"2^63-1 bytes":                      {header(fin|1, 1<<63-1), 1009},
		"2^62 bytes":                        {header(fin|2, 1<<62), 1009},
		"a byte too large":                  {frame(fin|1, strings.Repeat("x", 1001)), 1009},
		"too large in fragments":            {frame(1, strings.Repeat("x", 1000)) + frame(fin, "x"), 1009},
		"too large after a ping between":    {frame(1, strings.Repeat("x", 999)) + frame(fin|9, "ping") + frame(fin, "xy"), 1009},
		"text that is not UTF-8":            {frame(fin|1, "\xff"), 1007},
		"text that ends within a character": {frame(1, "x") + frame(fin, "\xeb\x91"), 1007},
		"a surrogate":                       {frame(fin|1, "\xed\xa0\x80"), 1007},
	} {
		r := NewReader(strings.NewReader(test.input), new(owner), 1000)
		_, err := r.Next(new(bytes.Buffer))
		wrong, _ := errors.AsType[*Error](err)
		switch {
		case test.code == 0 && !errors.Is(err, ErrClosed):
			t.Errorf("%s: %v, want a close by the client", what, err)
		case test.code != 0 && (wrong == nil || wrong.Code != test.code):
			t.Errorf("%s: %v, want %d", what, err, test.code)
		}
	}
}

func TestTheOwnerEndsTheReading(t *testing.T) {
	enough := errors.New("enough")
	r := NewReader(strings.NewReader(frame(fin|1, "x")), &owner{err: enough}, 1000)
	if _, err := r.Next(new(bytes.Buffer)); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
}

func TestCutOff(t *testing.T) {
	whole := frame(1, "hello") + frame(fin|9, "ping") + frame(fin, strings.Repeat("x", 300))
	for n := 1; n < len(whole); n++ {
		r := NewReader(strings.NewReader(whole[:n]), new(owner), 1000)
		if _, err := r.Next(new(bytes.Buffer)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d: %v", n, err)
		}
	}
}

// A header that promises much takes no memory yet.
func TestPromisedBytesTakeNoMemory(t *testing.T) {
	var buf bytes.Buffer
	r := NewReader(strings.NewReader(header(fin|1, 1<<20)+"x"), new(owner), 1<<20)
	if _, err := r.Next(&buf); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if buf.Cap() > 64<<10 {
		t.Errorf("%d bytes for one", buf.Cap())
	}
}

func FuzzNext(f *testing.F) {
	for _, seed := range []string{frame(fin|1, "one"), frame(1, "t") + frame(fin|9, "between") + frame(fin, "wo"), closeFrame(1000, "bye"), header(fin|1, 1<<63)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var o owner
		r := NewReader(bytes.NewReader(input), &o, 100)
		for {
			var buf bytes.Buffer
			op, err := r.Next(&buf)
			if o.busy != 0 {
				t.Fatal("busy after a message")
			}
			if err != nil {
				return
			}
			if buf.Len() > 125 || (op == Text || op == Binary) && buf.Len() > 100 {
				t.Fatalf("%d bytes", buf.Len())
			}
		}
	})
}
