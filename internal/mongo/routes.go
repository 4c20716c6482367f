package mongo

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Routes is the route store. A closed route keeps its document: it remembers the
// sequence of the closing, which a late opening must not undo.
type Routes struct {
	all   *mongo.Collection
	exact *mongo.Collection
	marks *marks
}

var _ chat.RouteStore = (*Routes)(nil)

type routeDoc struct {
	ID        string        `bson:"_id"`
	Stream    chat.StreamID `bson:"room"`
	Connector int64         `bson:"connector"`
	Open      bool          `bson:"open"`
	Sequence  chat.Sequence `bson:"sequence"`
}

// Apply implements [chat.RouteStore]. Errors: Invalid for a change without a stream
// or a connector (nothing is applied then), Unavailable.
func (r *Routes) Apply(ctx context.Context, changes []chat.RouteChange) error {
	var routes []*routeDoc
	last := make(map[string]*routeDoc)
	var moved moves
	for _, c := range changes {
		moved.add(c.Origin, c.Sequence)
		if !c.Stream.Valid() || c.Connector < 0 || int64(c.Connector) >= 1<<32 {
			return chat.Errorf(chat.Invalid, "a route needs a stream and a connector")
		}
		if c.Sequence <= 0 {
			continue // as nothing is older
		}
		d := routeDoc{ID: fmt.Sprintf("%s %d", c.Stream, c.Connector), Stream: c.Stream, Connector: int64(c.Connector), Open: c.Open, Sequence: c.Sequence}
		at := last[d.ID]
		if at == nil {
			at = new(routeDoc)
			last[d.ID] = at
			routes = append(routes, at)
		}
		if d.Sequence > at.Sequence {
			*at = d
		}
	}
	for batch := range slices.Chunk(routes, together) {
		if err := again(ctx, func(bool) error { return r.apply(ctx, batch) }); err != nil {
			return err
		}
	}
	return r.marks.note(ctx, moved)
}

func (r *Routes) apply(ctx context.Context, routes []*routeDoc) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs := make([]any, len(routes))
	for i, d := range routes {
		docs[i] = d
	}
	taken, err := insertNew(ctx, r.all, docs)
	if err != nil || len(taken) == 0 {
		return err
	}
	updates := make([]mongo.WriteModel, len(taken))
	for i, at := range taken {
		d := routes[at]
		older := bson.D{{Key: "_id", Value: d.ID}, {Key: "room", Value: d.Stream}, below("sequence", d.Sequence)}
		updates[i] = mongo.NewReplaceOneModel().SetFilter(older).SetReplacement(d)
	}
	_, err = modify(ctx, r.all, updates) // those that are not found were newer
	return err
}

// Connectors implements [chat.RouteStore]. The index alone answers it. Errors:
// Unavailable.
func (r *Routes) Connectors(ctx context.Context, streams []chat.StreamID) (map[chat.StreamID][]int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	names := make(bson.A, 0, len(streams))
	for _, s := range streams {
		if s.Valid() {
			names = append(names, s)
		}
	}
	found := make(map[chat.StreamID][]int, len(streams))
	for batch := range slices.Chunk(names, together) {
		routes, err := find[struct {
			Stream    chat.StreamID `bson:"room"`
			Connector int           `bson:"connector"`
		}](ctx, r.exact,
			bson.D{among("room", batch), {Key: "open", Value: true}},
			options.Find().SetProjection(bson.D{{Key: "room", Value: 1}, {Key: "connector", Value: 1}, {Key: "_id", Value: 0}}))
		if err != nil {
			return nil, err
		}
		for _, route := range routes {
			if !slices.Contains(found[route.Stream], route.Connector) {
				found[route.Stream] = append(found[route.Stream], route.Connector)
			}
		}
	}
	for _, connectors := range found {
		slices.Sort(connectors)
	}
	return found, nil
}
