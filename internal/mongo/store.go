// Package mongo keeps all stores and the search index in MongoDB, or in what
// speaks its protocol, for any number of processes at once.
//
// # Collections
//
//	collection  a document is        _id               shard key  indexes besides _id
//	events      an event             room source id    room       room, message, sequence, sender; room, sequence (unique);
//	                                                              about.room, .message; mention.room, .users, .sequence, .sender;
//	                                                              gone.room, .sequence, .sender (these are sparse)
//	lives       a message's life     room sequence     room       room, pinned
//	reactions   a user's to one      room sequence …   room       room, message, since
//	documents   an indexed message   room source id    room       room, terms, time, sequence; room, sequence; analysis
//	changes     its edit or deletion room source id    room       room, message, rank; analysis
//	routes      a room's connector   room connector    room       room, open, connector
//	members     a room's member      room user         room       room, user; room, owner; user, active or pending, room
//	rooms       a room               room              _id
//	counts      a room's members     room              _id        -
//	friends     one's friend         user friend       user       user, friend
//	sessions    a login              its ID            _id
//	invites     an invite          code              _id        room
//	attempts    a window's count     window key        _id        end
//	accounts    an account           its ID            none       address (unique)
//	progress    a store's mark       store partition   none       -; and the log's lineage
//	schema      the layout's version "layout"          none
//
// Whatever must be unique is so by _id, except for the addresses of accounts. A
// sharded collection enforces the uniqueness of _id within a shard only; as each
// _id begins with the shard key's value, its equals can be on no other shard.
// Accounts stay on one shard, since ID and address must both be unique. What is
// asked names the shard key, except for a user's rooms and invitations, which every
// shard answers, and what goes through everything. Sharding is the operator's to set up
// (sh.shardCollection("knatter.events", {room: 1}), and so on); nothing here
// depends on it.
//
// # Writes
//
// A write touches one document, so there are no transactions. It is acknowledged
// by a majority, in their journals. What depends on what is stored carries that as
// a condition ("if the sequence there is higher"), so that no process relies on
// what it has read a moment ago. A write that finds nothing to do waits for the
// majority too: MongoDB acknowledges it when everything that it saw is durable.
// Whatever is cut off, by an error, the end of the process or of the connection,
// is made whole by the same call again.
//
// # Reads
//
// All reads go to the primary and see what a majority has, so nothing that is read
// can be rolled back, and whoever reads after an acknowledged write sees it. One
// gap is left: for some seconds a primary that has lost its majority goes on
// answering whoever still reaches it, without the writes that its successor takes.
// Where that would break a promise the read is linearizable, for which the server
// has a majority confirm that it still is the primary: pages of events (history is
// complete up to the last ack), routes (a missed one is a message that is not
// delivered), accounts and sessions (a revoked one must not come back). Of the
// others nobody has been told how new they are.
package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/store"
)

// How long things may take before they are Unavailable. A URL may say otherwise
// about the first two, by its options serverSelectionTimeoutMS and
// connectTimeoutMS.
const (
	selectionTimeout = 5 * time.Second  // until there is a primary
	connectTimeout   = 5 * time.Second  // until it has answered
	callTimeout      = 10 * time.Second // for a call, or a step of one that is long by its nature
	openTimeout      = time.Minute      // until the collections have their indexes
)

// Store is a database and its stores.
type Store struct {
	client *mongo.Client
	db     *mongo.Database // reads what a majority has
	exact  *mongo.Database // reads linearizably

	events   *Events
	rooms    *Rooms
	accounts *Accounts
	sessions *Sessions
	attempts *Attempts
	invites  *Invites
	routes   *Routes
	index    *Index
	progress *Progress
}

var _ store.Adapter = (*Store)(nil)

// Open connects to the database that a URL names,
//
//	mongodb://user:password@host,host/database?options
//	mongodb+srv://user:password@host/database?options
//
// and makes its collections and indexes, unless they are there already. What the
// URL says about reading and writing concerns and preferences does not count.
//
// Errors: Invalid for a URL that is none or names no database; Unavailable when the
// server is away, does not let us in, or has another version's layout.
func Open(ctx context.Context, url string) (*Store, error) {
	opts, database, err := parse(url)
	if err != nil {
		return nil, err
	}
	return open(ctx, opts, database)
}

func open(ctx context.Context, opts *options.ClientOptions, database string) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "the store's URL: %w", err)
	}
	s := &Store{client: client}
	if err := s.use(ctx, database); err != nil {
		return nil, errors.Join(chat.Errorf(chat.Unavailable, "database %s: %w", database, failure(err)), s.Close())
	}
	return s, nil
}

// use looks what sort of server there is, and prepares the database.
func (s *Store) use(ctx context.Context, database string) error {
	var hello struct {
		SetName string `bson:"setName"`
		Msg     string `bson:"msg"`
	}
	err := s.client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	if err != nil {
		return err
	}
	journal := true
	concerns := options.Database().
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
	s.db = s.client.Database(database, concerns)
	s.exact = s.db
	if hello.SetName != "" || hello.Msg == "isdbgrid" { // a server alone has no successor, and refuses these reads
		s.exact = s.client.Database(database, concerns, options.Database().SetReadConcern(readconcern.Linearizable()))
	}
	s.events = &Events{
		all: s.db.Collection("events"), exact: s.exact.Collection("events"), marks: s.marksOf(chat.StoreEvents),
		lives: s.db.Collection("lives"), reactions: s.db.Collection("reactions"),
	}
	s.rooms = &Rooms{rooms: s.db.Collection("rooms"), members: s.db.Collection("members"), counts: s.db.Collection("counts"), marks: s.marksOf(chat.StoreRooms)}
	s.accounts = &Accounts{all: s.db.Collection("accounts"), exact: s.exact.Collection("accounts"), friends: s.db.Collection("friends")}
	s.sessions = &Sessions{all: s.db.Collection("sessions"), exact: s.exact.Collection("sessions")}
	s.attempts = &Attempts{all: s.db.Collection("attempts", options.Collection().SetWriteConcern(writeconcern.W1()))}
	s.invites = &Invites{all: s.db.Collection("invites"), exact: s.exact.Collection("invites")}
	s.routes = &Routes{all: s.db.Collection("routes"), exact: s.exact.Collection("routes"), marks: s.marksOf(chat.StoreRoutes)}
	s.index = &Index{all: s.db.Collection("documents"), changes: s.db.Collection("changes"), marks: s.marksOf(chat.StoreIndex)}
	s.progress = &Progress{all: s.db.Collection("progress")}
	return s.prepare(ctx)
}

func (s *Store) marksOf(store string) *marks {
	return &marks{store: store, all: s.db.Collection("progress")}
}

// Stores implements [store.Adapter].
func (s *Store) Stores() store.Stores {
	return store.Stores{
		Events:   s.events,
		Rooms:    s.Rooms(),
		Accounts: s.accounts,
		Sessions: s.sessions,
		Attempts: s.attempts,
		Invites:  s.invites,
		Routes:   s.routes,
		Index:    s.index,
		Progress: s.progress,
	}
}

// Events is the event store.
func (s *Store) Events() *Events { return s.events }

// Rooms is the room store.
func (s *Store) Rooms() projection.Rooms { return projection.Rooms{States: s.rooms} }

// Accounts is the account store.
func (s *Store) Accounts() *Accounts { return s.accounts }

// Sessions is the session store.
func (s *Store) Sessions() *Sessions { return s.sessions }

// Attempts is the attempt store.
func (s *Store) Attempts() *Attempts { return s.attempts }

// Invites is the invite store.
func (s *Store) Invites() *Invites { return s.invites }

// Routes is the route store.
func (s *Store) Routes() *Routes { return s.routes }

// Index is the search index.
func (s *Store) Index() *Index { return s.index }

// Progress is what the store knows of the log.
func (s *Store) Progress() *Progress { return s.progress }

// Check reports whether there is a primary that answers. Errors: Unavailable.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return failure(s.client.Ping(ctx, readpref.Primary()))
}

// Close waits for calls in flight, as long as one may take, and disconnects. Later
// calls, and a second Close, are Unavailable and do nothing.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	var err error
	if s.progress != nil {
		err = s.flushMarks(ctx)
	}
	return errors.Join(err, failure(s.client.Disconnect(ctx)))
}
