package mongo

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// reader dials connections of a user who may only read: what would write is answered
// as MongoDB does it.
type reader struct{ net.Dialer }

func (r reader) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := r.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &readerConn{Conn: c}, nil
}

type readerConn struct {
	net.Conn
	refusals bytes.Buffer
}

var writing = []string{"insert", "update", "delete", "findAndModify", "createIndexes", "create", "drop"}

func (c *readerConn) Write(p []byte) (int, error) {
	const body = 26 // where in an OP_MSG the command's name begins
	if len(p) <= body || !slices.ContainsFunc(writing, func(name string) bool { return bytes.HasPrefix(p[body:], append([]byte(name), 0)) }) {
		return c.Conn.Write(p)
	}
	document, err := bson.Marshal(bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "not authorized"}, {Key: "code", Value: int32(codeUnauthorized)}, {Key: "codeName", Value: "Unauthorized"}})
	if err != nil {
		return 0, err
	}
	reply := binary.LittleEndian.AppendUint32(nil, uint32(21+len(document)))
	reply = binary.LittleEndian.AppendUint32(reply, 1)
	reply = append(reply, p[4:8]...) // which request it answers
	reply = binary.LittleEndian.AppendUint32(reply, 2013)
	c.refusals.Write(append(append(reply, 0, 0, 0, 0, 0), document...))
	return len(p), nil
}

func (c *readerConn) Read(p []byte) (int, error) {
	if c.refusals.Len() > 0 {
		return c.refusals.Read(p)
	}
	return c.Conn.Read(p)
}

// Who may only read, as history and search, opens what others have made, reads it,
// and changes nothing.
func TestReader(t *testing.T) {
	url := mongotest.Database(t)
	ctx := t.Context()
	openAsReader := func() (*Store, error) {
		opts, database, err := parse(url)
		if err != nil {
			t.Fatal(err)
		}
		return open(ctx, opts.SetDialer(reader{}), database)
	}
	if s, err := openAsReader(); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("opened what nobody has made: %v, %v", s, err)
	}
	writer := connect(t, url)
	e := message(t, "room", "id", 5)
	if err := writer.Events().Put(ctx, []chat.Event{e}); err != nil {
		t.Fatal(err)
	}
	s, err := openAsReader()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if found, _, err := s.Events().Messages(ctx, "room", chat.Range{Limit: 10}); err != nil || len(found) != 1 {
		t.Errorf("read %v, %v", found, err)
	}
	if _, err := s.Rooms().RoomsOf(ctx, "alice"); err != nil {
		t.Error(err)
	}
	if _, err := s.Sessions().Session(ctx, "none"); chat.KindOf(err) != chat.NotFound {
		t.Error(err)
	}
	if _, _, err := s.Index().Search(ctx, chat.Query{Rooms: []chat.RoomID{"room"}, Words: []chat.Word{{Any: [][]string{{"term"}}}}, Limit: 1}); err != nil {
		t.Error(err)
	}
	if err := s.Events().Put(ctx, []chat.Event{message(t, "room", "other", 6)}); chat.KindOf(err) != chat.Unavailable && chat.KindOf(err) != chat.Internal {
		t.Errorf("wrote: %v", err)
	}
}
