package mongo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// merged is a document into which others like it can be merged, in any order and
// again without a difference. It counts its changes.
type merged[D any] interface {
	*D
	key() string
	filter() bson.D          // of the one document
	merge(from *D) bool      // reports whether it changed
	fields() (bson.D, error) // what merging can change
	revision() int64
}

// fieldsOf are the fields of a state, as its document has them.
func fieldsOf(state any) (bson.D, error) {
	b, err := bson.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	elements, err := bson.Raw(b).Elements()
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	fields := make(bson.D, len(elements))
	for i, e := range elements {
		fields[i] = bson.E{Key: e.Key(), Value: e.Value()}
	}
	return fields, nil
}

// merger collects what a batch of events says about documents, and merges it into
// those that are stored.
type merger[D any, P merged[D]] struct {
	all []D
	at  map[string]int
}

func (m *merger[D, P]) add(doc D) {
	key := P(&doc).key()
	if i, ok := m.at[key]; ok {
		P(&m.all[i]).merge(&doc)
		return
	}
	if m.at == nil {
		m.at = make(map[string]int)
	}
	m.at[key] = len(m.all)
	m.all = append(m.all, doc)
}

// Others may change the same document at the same time. Each time at least one of
// them gets through, so it takes as many rounds as there are of them, and these
// are a few processes at most.
const (
	mergeRounds = 100
	mergePause  = 4 * time.Millisecond
)

// apply merges all into the stored documents, durably when it returns.
func (m *merger[D, P]) apply(ctx context.Context, c *mongo.Collection) error {
	for batch := range slices.Chunk(m.all, together) {
		left := batch
		for round := 1; ; round++ {
			err := again(ctx, func(bool) (err error) {
				left, err = mergeOnce[D, P](ctx, c, left)
				return err
			})
			if err != nil {
				return err
			}
			if len(left) == 0 {
				break
			}
			if round == mergeRounds || !rest(ctx, mergePause*time.Duration(min(round, 10))) {
				return chat.Errorf(chat.Unavailable, "store: too many change the same document")
			}
		}
	}
	return nil
}

// mergeOnce merges documents into what is stored, and returns those that are to be
// tried again, as somebody else has changed what they go into meanwhile. On an
// error these are all.
//
// What is read is what a majority has: a document that needs no change is durable
// as it is. One that others are just changing is read as it was before, and then
// its revision is another one.
func mergeOnce[D any, P merged[D]](ctx context.Context, c *mongo.Collection, docs []D) (left []D, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stored, err := findAll[D, P](ctx, c, docs)
	if err != nil {
		return docs, err
	}
	var missing []any
	var missed, changed []D
	var updates []mongo.WriteModel
	for i := range docs {
		d := P(&docs[i])
		was, ok := stored[d.key()]
		if !ok {
			missing, missed = append(missing, d), append(missed, docs[i])
			continue
		}
		revision := P(&was).revision()
		if !P(&was).merge(&docs[i]) {
			continue
		}
		fields, err := P(&was).fields()
		if err != nil {
			return docs, err
		}
		changed = append(changed, docs[i])
		updates = append(updates, mongo.NewUpdateOneModel().
			SetFilter(append(d.filter(), bson.E{Key: "revision", Value: revision})).
			SetUpdate(bson.D{{Key: "$set", Value: append(fields, bson.E{Key: "revision", Value: revision + 1})}}))
	}
	if len(missing) > 0 {
		taken, err := insertNew(ctx, c, missing)
		if err != nil {
			return docs, err
		}
		for _, i := range taken {
			left = append(left, missed[i])
		}
	}
	if len(updates) > 0 {
		matched, err := modify(ctx, c, updates)
		if err != nil {
			return docs, err
		}
		if matched < len(updates) { // the server does not say which
			left = append(left, changed...)
		}
	}
	return left, nil
}

// findAll reads what is stored of the documents, by key.
func findAll[D any, P merged[D]](ctx context.Context, c *mongo.Collection, docs []D) (map[string]D, error) {
	wanted := make(map[string]bson.A) // by field: all have the same
	for i := range docs {
		for _, f := range P(&docs[i]).filter() {
			wanted[f.Key] = append(wanted[f.Key], f.Value)
		}
	}
	var where bson.D
	for field, values := range wanted {
		where = append(where, among(field, values))
	}
	found, err := find[D](ctx, c, where, options.Find())
	if err != nil {
		return nil, err
	}
	stored := make(map[string]D, len(found))
	for i := range found {
		stored[P(&found[i]).key()] = found[i]
	}
	return stored, nil
}

// reads are the read positions of a batch, the highest of each member.
type reads struct {
	all []memberDoc
	at  map[string]int
}

func (r *reads) add(room chat.RoomID, user chat.UserID, mark chat.Sequence) {
	if mark == 0 {
		return
	}
	id := memberID(room, user)
	i, ok := r.at[id]
	if !ok {
		if r.at == nil {
			r.at = make(map[string]int)
		}
		i = len(r.all)
		r.at[id] = i
		r.all = append(r.all, newMember(room, user, projection.Member{}))
	}
	r.all[i].Read = max(r.all[i].Read, mark)
}

// apply moves the read positions, which only ever advance: a device that lags
// behind does not make read messages unread again. That is what the server's $max
// does, so nothing needs to be read before.
func (r *reads) apply(ctx context.Context, members *mongo.Collection) error {
	for batch := range slices.Chunk(r.all, together) {
		updates := make([]mongo.WriteModel, len(batch))
		for i := range batch {
			var err error
			if updates[i], err = batch[i].raise(); err != nil {
				return err
			}
		}
		err := again(ctx, func(bool) error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			_, err := modify(ctx, members, updates)
			if hasCode(err, codeDuplicateKey) { // somebody made one of the documents at the same time; now it is there
				_, err = modify(ctx, members, updates)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// raise moves the read position up, and makes a document for it if there is none:
// reading may be applied before the joining that was logged before it.
func (m *memberDoc) raise() (mongo.WriteModel, error) {
	fresh, err := m.fields()
	fresh = append(fresh, bson.E{Key: "revision", Value: m.Revision})
	return mongo.NewUpdateOneModel().SetFilter(m.filter()).SetUpsert(true).SetUpdate(bson.D{
		{Key: "$max", Value: bson.D{{Key: "read", Value: m.Read}}},
		{Key: "$setOnInsert", Value: fresh},
	}), err
}
