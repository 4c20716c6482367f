package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
)

// Loss is a story of log and store, of which one loses what the other has while
// nothing runs. Then everything is started at once, and nothing that was acknowledged
// is missing, nothing has another's sequence, and people go on. say is told of each
// step.
func Loss(ctx context.Context, f *Fleet, say func(string, ...any)) error {
	alice, err := newPerson(ctx, f.URLs()[0], f.URLs()[0], "alice")
	if err != nil {
		return err
	}
	defer alice.conn.Close()
	l := &loss{f: f, alice: alice, sent: make(map[string]chat.Sequence)}
	for _, name := range []string{"One", "Two", "Three"} {
		room, err := alice.CreateRoom(ctx, name)
		if err != nil {
			return err
		}
		if err := alice.conn.Subscribe(ctx, room.ID); err != nil {
			return err
		}
		l.rooms = append(l.rooms, room.ID)
	}
	for _, part := range []struct {
		what string
		lose func(context.Context) error
	}{
		{"the store lost all that it has of the log", l.emptyStore},
		{"the log was made anew, and is empty", l.emptyLog},
		{"the log was made anew again", l.emptyLog},
		{"the store is that of a backup", l.restoreBackup},
	} {
		if err := l.send(ctx, 5); err != nil {
			return err
		}
		if err := l.f.Settle(ctx); err != nil {
			return err
		}
		if err := part.lose(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
		if err := l.goOn(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
		say("%s: all %d messages are there, the newest is %s", part.what, len(l.sent), l.newest)
	}
	return nil
}

type loss struct {
	f      *Fleet
	alice  *person
	rooms  []chat.RoomID
	sent   map[string]chat.Sequence // by room and text
	newest chat.Sequence
	sends  int
}

// send has n messages acknowledged in each room.
func (l *loss) send(ctx context.Context, n int) error {
	for range n {
		l.sends++
		for _, room := range l.rooms {
			text := fmt.Sprintf("회의록 %d", l.sends)
			s, err := l.alice.conn.Send(ctx, room, text)
			if err != nil {
				return err
			}
			l.sent[string(room)+" "+text] = s
			l.newest = max(l.newest, s)
		}
	}
	return nil
}

// goOn starts everything again and wants all of it to be there. Her client reconnects
// by itself.
func (l *loss) goOn(ctx context.Context) error {
	if err := l.f.startRest(ctx); err != nil {
		return err
	}
	if err := l.f.Settle(ctx); err != nil { // until then rooms and members may be missing
		return err
	}
	if err := l.check(ctx); err != nil {
		return err
	}
	before := l.newest
	if err := l.send(ctx, 2); err != nil {
		return err
	}
	if l.newest <= before {
		return fmt.Errorf("after %s came %s", before, l.newest)
	}
	if err := l.f.Settle(ctx); err != nil {
		return err
	}
	return l.check(ctx)
}

// check compares history and index.
func (l *loss) check(ctx context.Context) error {
	found := 0
	for _, room := range l.rooms {
		messages, _, err := l.alice.Messages(ctx, room, client.Page{FromStart: true, Limit: 200})
		if err != nil {
			return err
		}
		for _, m := range messages {
			if at, ok := l.sent[string(room)+" "+m.Text]; !ok || at != m.Sequence {
				return fmt.Errorf("%q was acknowledged as %s and is %s", m.Text, at, m.Sequence)
			}
		}
		found += len(messages)
	}
	if found != len(l.sent) {
		return fmt.Errorf("history has %d of %d messages", found, len(l.sent))
	}
	hits, err := l.alice.finds(ctx, "회의록")
	if err != nil {
		return err
	}
	if len(hits) != len(l.sent) {
		return fmt.Errorf("%d of %d messages are found", len(hits), len(l.sent))
	}
	return nil
}

func (l *loss) config() kafka.Config {
	kc, _ := open.LogConfig(l.f.Env()) // it is that of the processes, which run
	return kc
}

// emptyLog deletes all topics and makes them anew.
func (l *loss) emptyLog(ctx context.Context) error {
	if err := l.f.stopRest(); err != nil {
		return err
	}
	kc := l.config()
	client, err := kgo.NewClient(kc.Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	deleted, err := kadm.NewClient(client).DeleteTopics(ctx, chat.TopicRooms, chat.TopicSignals, chat.TopicDeliveries, chat.TopicDead)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return err
	}
	// Without the store: the processes that start are to find out what is the matter.
	return kafka.EnsureTopics(ctx, kc)
}

// projections are the collections that are made of the log.
var projections = []string{"events", "documents", "routes", "members", "rooms", "progress"}

func (l *loss) database() (*mongo.Database, func(), error) {
	url := l.f.Env()["KNATTER_STORE"]
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err != nil {
		return nil, nil, err
	}
	return client.Database(url[strings.LastIndexByte(url, '/')+1:]), func() { _ = client.Disconnect(context.Background()) }, nil
}

func (l *loss) emptyStore(ctx context.Context) error {
	if err := l.f.stopRest(); err != nil {
		return err
	}
	db, done, err := l.database()
	if err != nil {
		return err
	}
	defer done()
	for _, name := range projections {
		if _, err := db.Collection(name).DeleteMany(ctx, bson.D{}); err != nil {
			return err
		}
	}
	return nil
}

// restoreBackup puts the store back to what it was before some more was sent.
func (l *loss) restoreBackup(ctx context.Context) error {
	db, done, err := l.database()
	if err != nil {
		return err
	}
	defer done()
	if err := l.f.stopRest(); err != nil {
		return err
	}
	backup := make(map[string][]bson.D)
	for _, name := range projections {
		cursor, err := db.Collection(name).Find(ctx, bson.D{})
		if err != nil {
			return err
		}
		var documents []bson.D
		if err := cursor.All(ctx, &documents); err != nil {
			return err
		}
		backup[name] = documents
	}
	if err := l.goOn(ctx); err != nil {
		return fmt.Errorf("with nothing lost: %w", err)
	}
	if err := l.emptyStore(ctx); err != nil {
		return err
	}
	for name, documents := range backup {
		if len(documents) == 0 {
			continue
		}
		if _, err := db.Collection(name).InsertMany(ctx, documents); err != nil {
			return err
		}
	}
	return nil
}

// stopRest stops everything but brokers and store, the connectors first.
func (f *Fleet) stopRest() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(f.processes) {
		if p.name != store {
			errs = append(errs, p.stop())
		}
	}
	return errors.Join(errs...)
}

// startRest starts everything but brokers and store at once, and returns when all of
// it is ready.
func (f *Fleet) startRest(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ready errgroup.Group
	for _, p := range f.processes {
		if p.name == store {
			continue
		}
		if err := p.launch(); err != nil {
			return err
		}
		ready.Go(func() error { return p.await(ctx) })
	}
	return ready.Wait()
}
