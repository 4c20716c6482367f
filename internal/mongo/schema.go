package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// layout is the version of the collections, their documents and indexes. A change
// that another version could not read, or would spoil, raises it.
const layout = "6"

// Layout 4 knew nothing of edited and deleted messages in the index.
const layout4 = "4"

// index is an index of a collection besides that of _id.
type index struct {
	collection string
	key        bson.D
	unique     bool
	sparse     bool // only of documents that have its fields
}

var indexes = []index{
	{collection: "events", key: ascending("room", "message", "sequence", "sender")},
	{collection: "events", key: ascending("room", "sequence"), unique: true}, // no event takes another's place
	{collection: "events", key: ascending("about.room", "about.message"), sparse: true},
	{collection: "events", key: ascending("mention.room", "mention.users", "mention.sequence", "mention.sender"), sparse: true},
	{collection: "events", key: ascending("gone.room", "gone.sequence", "gone.sender"), sparse: true},
	{collection: "lives", key: ascending("room", "pinned")},
	{collection: "reactions", key: ascending("room", "message", "since")},
	{collection: "documents", key: ascending("room", "terms", "time", "sequence")},
	{collection: "documents", key: ascending("room", "sequence")},
	{collection: "documents", key: ascending("analysis")},
	{collection: "changes", key: ascending("room", "message", "rank")},
	{collection: "changes", key: ascending("analysis")},
	{collection: "routes", key: ascending("room", "open", "connector")},
	{collection: "members", key: ascending("room", "user")},
	{collection: "members", key: ascending("user", "active", "room")},
	{collection: "members", key: ascending("user", "pending", "room")},
	{collection: "members", key: ascending("room", "owner")},
	{collection: "members", key: ascending("room", "active")},
	{collection: "friends", key: ascending("user", "friend")},
	{collection: "attempts", key: ascending("end")},
	{collection: "invites", key: ascending("room")},
	{collection: "accounts", key: ascending("address"), unique: true},
}

func ascending(fields ...string) (key bson.D) {
	for _, field := range fields {
		key = append(key, bson.E{Key: field, Value: 1})
	}
	return key
}

func descending(fields ...string) (key bson.D) {
	for _, field := range fields {
		key = append(key, bson.E{Key: field, Value: -1})
	}
	return key
}

// prepare makes what is missing in the database, unless it belongs to another
// version. Any number of processes may do so at once: creating an index that is
// there does nothing. Who may only read relies on those who may write.
func (s *Store) prepare(ctx context.Context) error {
	found, err := s.findLayout(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{layout2, layout3, layout4, layout5, layout}, found) {
		return chat.Errorf(chat.Unavailable, "the data has layout %q, this version reads %q: start it on another database", found, layout)
	}
	for _, i := range indexes {
		err := again(ctx, func(bool) error {
			model := mongo.IndexModel{Keys: i.key}
			switch {
			case i.unique:
				model.Options = options.Index().SetUnique(true)
			case i.sparse:
				model.Options = options.Index().SetSparse(true)
			}
			_, err := s.db.Collection(i.collection).Indexes().CreateOne(ctx, model)
			if hasCode(err, codeUnauthorized) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("index of %s: %w", i.collection, err)
		}
	}
	ctx = context.WithoutCancel(ctx) // takes as long as it takes
	if found == layout2 {
		if err := s.fromLayout2(ctx); err != nil {
			return err
		}
		found = layout3
	}
	if found == layout3 {
		if err := s.fromLayout3(ctx); err != nil {
			return err
		}
		found = layout4
	}
	if found == layout4 { // had no changes, and of what it had all is as it was
		if err := s.setLayout(ctx, layout4, layout5); err != nil {
			return err
		}
		found = layout5
	}
	if found == layout5 {
		return s.fromLayout5(ctx)
	}
	return nil
}

// findLayout returns the database's version, and gives it ours if it has none yet.
// Of processes that do so at once one succeeds, and the others find what it has
// written.
func (s *Store) findLayout(ctx context.Context) (string, error) {
	type version struct {
		ID      string `bson:"_id"`
		Version string `bson:"version"`
	}
	ours, found := version{ID: "layout", Version: layout}, version{}
	schema := s.db.Collection("schema")
	find := func(bool) error {
		err := schema.FindOne(ctx, bson.D{{Key: "_id", Value: ours.ID}}).Decode(&found)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return nil
		}
		return err
	}
	if err := again(ctx, find); err != nil || found.Version != "" {
		return found.Version, err
	}
	err := again(ctx, func(maybe bool) error {
		if _, err := insertNew(ctx, schema, []any{ours}); err != nil {
			return err
		}
		return find(maybe)
	})
	return found.Version, err
}
