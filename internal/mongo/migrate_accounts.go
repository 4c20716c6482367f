package mongo

import (
	"context"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/bson"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/names"
)

// Layout 3 told spellings of an email address apart that are one.
const layout3 = "3"

// fromLayout3 lets accounts be found under all spellings of their address. Of several
// that have one address in different spellings the others stay as they are, and each
// is found under its own. What holds for fromLayout2 holds here too.
func (s *Store) fromLayout3(ctx context.Context) error {
	slog.Info("the store's accounts are brought up to date")
	for after, more := "", true; more; {
		err := again(ctx, func(bool) (err error) {
			after, more, err = s.convertAccounts(ctx, after)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.setLayout(ctx, layout3, layout4)
}

// convertAccounts converts one page of accounts, in the order of their IDs, and
// returns where the next one begins.
func (s *Store) convertAccounts(ctx context.Context, after string) (next string, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := find[accountDoc](ctx, s.accounts.all, bson.D{above("_id", after)}, limited(together).SetSort(ascending("_id")))
	if err != nil || len(page) == 0 {
		return after, false, err
	}
	for i := range page {
		d := &page[i]
		key := names.EmailKey(d.Email)
		if key == "" || key == d.Address {
			continue
		}
		// Other processes take the accounts in the same order, so nobody comes in between.
		_, err := s.accounts.one(ctx, bson.D{{Key: "address", Value: key}})
		if chat.KindOf(err) == chat.NotFound {
			_, err = s.accounts.all.UpdateOne(ctx, bson.D{{Key: "_id", Value: d.ID}}, set(bson.E{Key: "address", Value: key}))
		}
		if err != nil {
			return after, true, err
		}
	}
	return string(page[len(page)-1].ID), true, nil
}
