package mongo

import (
	"context"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Layout 5 knew of edits and deletions in the index only, and not who mentions whom.
const layout5 = "5"

// fromLayout5 notes whom messages mention. What holds for fromLayout2 holds here too.
func (s *Store) fromLayout5(ctx context.Context) error {
	slog.Info("the store's mentions are brought up to date")
	err := s.events.Scan(ctx, func(messages []chat.Event) error {
		var updates []mongo.WriteModel
		for i := range messages {
			m := &messages[i]
			if mentions := mentionOf(m, new(projection.Life)); mentions != nil {
				where := bson.D{{Key: "_id", Value: identity(m.Stream.Room(), m.Source, m.ID)}, {Key: "room", Value: m.Stream.Room()}, {Key: "sequence", Value: m.Sequence}}
				updates = append(updates, mongo.NewUpdateOneModel().SetFilter(where).SetUpdate(set(bson.E{Key: "mention", Value: mentions})))
			}
		}
		if len(updates) == 0 {
			return nil
		}
		return again(ctx, func(bool) error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			_, err := modify(ctx, s.events.all, updates)
			return err
		})
	})
	if err != nil {
		return err
	}
	return s.setLayout(ctx, layout5, layout)
}
