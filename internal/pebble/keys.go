package pebble

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// The layout of the keys. The first byte says what a row is; NUL ends each name
// that another part follows. Rooms' and users' ids are valid names and the
// others are refused on the way in when they have a NUL, so no two things share
// a key. Numbers are big-endian: the order of the bytes is that of the numbers.
//
//	V                                    schema version
//
//	L                                    JSON lineage: the log and its generations
//	P store NUL partition4               sequence8 below which all is applied, sequence8 that is the highest applied
//
//	m room NUL sequence8                 message: length1 sender, frame
//	e room NUL sequence8                 any other event: the same
//	B room NUL sequence8 sequence8       an event about a message, after the message's place: its type1
//	Y room NUL sequence8 0^8             JSON life of a message
//	Y room NUL sequence8 since8          reaction that stands: user NUL emoji
//	R room NUL sequence8 user NUL emoji  a reaction's removed8, each added8
//	G room NUL since8                    sequence8 of a message that is pinned
//	N room NUL user NUL sequence8        message that mentions the user: its sender
//	F id NUL room NUL source             sequence8 under which the event is stored
//
//	r room                               JSON room
//	b room NUL user                      JSON member
//	p room NUL user                      sequence8 read up to
//	o user NUL room                      the user is an active member of the room
//	i user NUL room                      an invitation to the room waits for the user's consent
//	k room NUL user                      the user is an active member of the room and an owner
//	C room                               count4 of active members; of an earlier version's room none until it is asked for
//
//	a user                               JSON account
//	l email, see names.EmailKey          user
//	n user NUL friend                    friend is on the user's list
//	s session                            JSON session
//	y code                               JSON invite
//	I room NUL code                      the invite is one to the room
//	c end8 length8 key                   count4 of attempts in the window that ends at end8
//
//	w room NUL connector4                sequence8 open1: route
//
//	q room NUL place13                   recent document: sender NUL, each term NUL
//	h room                               place13 of the newest document with postings, the highest sequence8 of one
//	t room NUL term NUL place13          postings: see appendNewer
//	u room NUL user NUL place13          postings for the messages' sender
//	T, U                                 as t and u, one posting each: documents that came late
//	D id NUL room NUL source             place13 under which the message is indexed, or what follows a change's room
//	x room NUL sequence8                 message whose postings do not count: it gave way to an earlier one, or (1) changed
//	g room NUL message8 0                place13, sender: where a message is that was edited
//	g room NUL message8 1 sequence8      edit: as a recent document
//	g room NUL message8 2 sequence8      deletion
//	j room NUL message8                  message that was edited and is not there yet
//	v room NUL term NUL place13          postings of edited messages, one each
//	z room NUL user NUL place13          the same of their senders
//	A                                    lowest Analysis of the documents, in decimal
//
// place13 is ^time6 ^sequence7, so that going forward is going from new to old.
// Messages have rows apart from other events, so that a page of messages never
// has to step over joins and read marks. The first byte of a deleted message's row is
// more by [erased], and then it is not counted.
const (
	kindSchema byte = 'V'

	kindLineage  byte = 'L'
	kindProgress byte = 'P'

	kindMessage byte = 'm'
	kindEvent   byte = 'e'
	kindFirst   byte = 'F'

	kindAbout    byte = 'B'
	kindLife     byte = 'Y'
	kindReaction byte = 'R'
	kindPinned   byte = 'G'
	kindMention  byte = 'N'

	kindRoom    byte = 'r'
	kindMember  byte = 'b'
	kindRead    byte = 'p'
	kindRoomOf  byte = 'o'
	kindInvited byte = 'i'
	kindOwner   byte = 'k'
	kindCount   byte = 'C'

	kindAccount byte = 'a'
	kindEmail   byte = 'l'
	kindFriend  byte = 'n'
	kindSession byte = 's'
	kindAttempt byte = 'c'

	kindInvite   byte = 'y'
	kindInviteOf byte = 'I'

	kindRoute byte = 'w'

	kindRecent      byte = 'q'
	kindNewest      byte = 'h'
	kindPosting     byte = 't'
	kindSender      byte = 'u'
	kindLatePosting byte = 'T'
	kindLateSender  byte = 'U'

	kindDocument byte = 'D'
	kindRemoved  byte = 'x'
	kindAnalysis byte = 'A'

	kindChange        byte = 'g'
	kindAwaited       byte = 'j'
	kindEditedPosting byte = 'v'
	kindEditedSender  byte = 'z'
)

// schema is the version of the layout above.
const schema = "7"

// comparer orders keys by their bytes. Its Split takes the trailing number off
// the rows that are read in its order, so that the bloom filters tell whether a
// table has anything of a room, or of a term in a room, at all.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "knatter.v1"
	c.Split = split
	return &c
}()

// split is the length of a key without its trailing number. Names have no NUL,
// so counting them from the left is safe whatever bytes the number has; a key
// cut short, as bounds are, is all prefix.
func split(key []byte) int {
	if len(key) == 0 {
		return 0
	}
	names := 0
	switch key[0] {
	case kindMessage, kindEvent, kindRoute, kindRemoved, kindRecent, kindChange, kindAwaited:
		names = 1
	case kindLife:
		return splitLife(key)
	case kindPosting, kindSender, kindLatePosting, kindLateSender, kindEditedPosting, kindEditedSender:
		names = 2
	default:
		return len(key)
	}
	n := 1
	for range names {
		i := bytes.IndexByte(key[n:], 0)
		if i < 0 {
			return len(key)
		}
		n += i + 1
	}
	return n
}

// splitLife is the length of a message's part of a key.
func splitLife(key []byte) int {
	i := bytes.IndexByte(key, 0)
	if i < 0 {
		return len(key)
	}
	return min(i+1+8, len(key))
}

// appendName appends the kind and the first name with its NUL.
func appendName[N ~string](dst []byte, kind byte, name N) []byte {
	dst = append(dst, kind)
	dst = append(dst, name...)
	return append(dst, 0)
}

func appendSequence(dst []byte, s chat.Sequence) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(s))
}

func sequence(b []byte) (chat.Sequence, bool) {
	if len(b) < 8 {
		return 0, false
	}
	return chat.Sequence(binary.BigEndian.Uint64(b)), true
}

// eventKey is the row of an event or of a removed document.
func eventKey(dst []byte, kind byte, room chat.RoomID, s chat.Sequence) []byte {
	return appendSequence(appendName(dst, kind, room), s)
}

// identityKey is the row that remembers where (source, id) of a room is, for
// events and for documents. The id comes first: clients are advised to make it a
// UUIDv7, and ids that begin with the time are new ones after all that is stored.
// So looking one up touches only what is recent, and what is written is rarely
// rewritten.
func identityKey(dst []byte, kind byte, room chat.RoomID, source, id string) []byte {
	dst = append(dst, kind)
	dst = append(dst, id...)
	dst = append(dst, 0)
	dst = append(dst, room...)
	dst = append(dst, 0)
	return append(dst, source...)
}

// pairKey is a row of two names.
func pairKey[A, B ~string](kind byte, a A, b B) []byte {
	key := make([]byte, 0, 2+len(a)+len(b))
	return append(appendName(key, kind, a), b...)
}

// nameKey is a row of one name.
func nameKey[N ~string](kind byte, name N) []byte {
	return append([]byte{kind}, name...)
}

// postingPrefix is what the postings of a term, or of a sender, have in common.
func postingPrefix(dst []byte, kind byte, room chat.RoomID, term string) []byte {
	dst = appendName(dst, kind, room)
	dst = append(dst, term...)
	return append(dst, 0)
}

func postingKey(dst []byte, kind byte, room chat.RoomID, term string, p place) []byte {
	return append(postingPrefix(dst, kind, room, term), p[:]...)
}

// after is the end of the range of keys that begin with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// place is where a message stands in a room's postings: ^time6 ^sequence7. The
// smaller one is the newer one.
type place [placeLen]byte

const (
	timeLen  = 6
	placeLen = timeLen + 7
)

// placeOf clamps the time to what six bytes of milliseconds hold, 1970 to 10889.
func placeOf(t time.Time, s chat.Sequence) place {
	return placeAt(min(max(t.UnixMilli(), 0), 1<<48-1), s)
}

func placeAt(milli int64, s chat.Sequence) place {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], ^uint64(milli))
	var p place
	copy(p[:timeLen], b[2:8])
	binary.BigEndian.PutUint64(b[8:], ^uint64(s))
	copy(p[timeLen:], b[9:])
	return p
}

func (p place) milli() int64 {
	var b [8]byte
	copy(b[2:], p[:timeLen])
	return int64(^binary.BigEndian.Uint64(b[:]) & (1<<48 - 1))
}

func (p place) sequence() chat.Sequence {
	var b [8]byte
	copy(b[1:], p[timeLen:])
	return chat.Sequence(^binary.BigEndian.Uint64(b[:]) & (1<<56 - 1))
}

// moment is a place in numbers.
type moment struct {
	milli    int64
	sequence chat.Sequence
}

func (p place) moment() moment { return moment{p.milli(), p.sequence()} }

func (p place) hit(room chat.RoomID) chat.Hit {
	return chat.Hit{Room: room, Sequence: p.sequence(), Time: time.UnixMilli(p.milli()).UTC()}
}

// next is the place right behind p, the newest of those older.
func (p place) next() place {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i]++; p[i] != 0 {
			break
		}
	}
	return p
}

func (p place) compare(q place) int { return bytes.Compare(p[:], q[:]) }
