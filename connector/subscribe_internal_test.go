package connector

import (
	"testing"

	"knatter.dev/chat"
)

// While the log is away a user's own stream cannot be followed: a subscription to all rooms
// would miss those that are joined until it can.
func TestAllRoomsNeedTheOwnStream(t *testing.T) {
	f := &subscriptions{s: &session{c: new(Connector)}}
	if _, err := f.allRooms(); chat.KindOf(err) != chat.Unavailable || f.all {
		t.Errorf("got %v", err)
	}
}
