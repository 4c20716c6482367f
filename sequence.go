package chat

import "strconv"

// Sequence is an event's place in its room: generation << 48 | offset of the
// record in the log, below 2^53. It rises strictly within a room, with gaps. In
// JSON and in headers it is 16 decimal digits, zero-padded. 0 is before every
// event: the first record of each partition is never a room's.
type Sequence int64

const (
	offsetBits  = 48
	maxSequence = Sequence(1)<<53 - 1
)

// SequenceAt is the sequence of the record at offset in a log generation
// (0 to 31).
func SequenceAt(generation int, offset int64) Sequence {
	return Sequence(generation)<<offsetBits | Sequence(offset)
}

// Offset is the record's offset in its partition.
func (s Sequence) Offset() int64 { return int64(s) & (1<<offsetBits - 1) }

// Generation is the log generation that the sequence belongs to.
func (s Sequence) Generation() int { return int(s >> offsetBits) }

// String is the sequence in 16 decimal digits.
func (s Sequence) String() string { return string(s.append(make([]byte, 0, 16))) }

func (s Sequence) append(dst []byte) []byte {
	var digits [20]byte
	d := strconv.AppendInt(digits[:0], int64(s), 10)
	for range 16 - len(d) {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

// ParseSequence reads 16 decimal digits. Errors: Invalid.
func ParseSequence(s string) (Sequence, error) {
	if len(s) == 16 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err == nil && Sequence(n) <= maxSequence {
			return Sequence(n), nil
		}
	}
	return 0, Errorf(Invalid, "a sequence has 16 decimal digits and is below 2^53")
}

// MarshalText implements encoding.TextMarshaler.
func (s Sequence) MarshalText() ([]byte, error) { return s.append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors: Invalid.
func (s *Sequence) UnmarshalText(b []byte) error {
	n, err := ParseSequence(string(b))
	if err != nil {
		return err
	}
	*s = n
	return nil
}
