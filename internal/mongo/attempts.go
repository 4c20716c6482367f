package mongo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Attempts is the attempt store. Its writes are acknowledged by the primary alone:
// a count that its successor does not know lets somebody try again.
type Attempts struct {
	all   *mongo.Collection
	swept atomic.Int64 // Unix time up to which this process has deleted ended windows
}

var _ chat.AttemptStore = (*Attempts)(nil)

// keepEnded is how long counts stay after their window, for clocks that differ;
// sweepEvery is how often ended windows are deleted. In seconds.
const (
	keepEnded  = 3600
	sweepEvery = 60
)

// Attempt implements [chat.AttemptStore]. It is not tried again when the connection
// breaks, which could count it twice. Errors: Invalid without a window,
// Unavailable.
func (a *Attempts) Attempt(ctx context.Context, key string, window time.Duration, now time.Time) (int, error) {
	if window <= 0 {
		return 0, chat.Errorf(chat.Invalid, "the window must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	end := now.Truncate(window).Add(window)
	id := fmt.Sprintf("%d %d %s", end.UnixNano(), window, key)
	count := func() (n int, err error) {
		var counted struct {
			Count int `bson:"count"`
		}
		err = a.all.FindOneAndUpdate(ctx,
			bson.D{{Key: "_id", Value: id}},
			bson.D{
				{Key: "$inc", Value: bson.D{{Key: "count", Value: 1}}},
				{Key: "$setOnInsert", Value: bson.D{{Key: "end", Value: end}}},
			},
			options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&counted)
		return counted.Count, err
	}
	n, err := count()
	if hasCode(err, codeDuplicateKey) { // somebody made it at the same time; now it is there
		n, err = count()
	}
	if err != nil {
		return 0, failure(err)
	}
	a.sweep(ctx, now.Unix()-keepEnded)
	return n, nil
}

// sweep deletes the windows that have ended before a time, unless it has just done
// so. What it leaves, because it fails, is the next one's.
func (a *Attempts) sweep(ctx context.Context, before int64) {
	swept := a.swept.Load()
	if before < swept+sweepEvery || !a.swept.CompareAndSwap(swept, before) {
		return
	}
	_, _ = a.all.DeleteMany(ctx, bson.D{below("end", time.Unix(before, 0))})
}
