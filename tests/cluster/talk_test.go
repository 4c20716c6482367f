package cluster

import (
	"fmt"
	"testing"
)

// Two people on different connectors talk, read what was said, and find it.
func talk(t *testing.T) {
	c := deployed(t)
	alice, bob := c.someone(t, 0, "alice"), c.someone(t, 1, "bob")
	room := c.room(t, alice, bob)
	var want []string
	for i := range 10 {
		from, to := alice, bob
		if i%2 == 1 {
			from, to = bob, alice
		}
		text := fmt.Sprintf("말했어요 number %d", i)
		to.Sees(from.Sends(room, text))
		want = append(want, text)
	}
	for _, p := range []*Person{alice, bob} {
		messages := p.Reads(room)
		if len(messages) != len(want) {
			t.Fatalf("%s reads %d messages, want %d", p.User.Nickname, len(messages), len(want))
		}
		for i, m := range messages {
			if m.Text != want[i] || i > 0 && m.Sequence <= messages[i-1].Sequence {
				t.Errorf("%s reads %q as %s, want %q", p.User.Nickname, m.Text, m.Sequence, want[i])
			}
		}
		// By a stem, which the analysis of Korean has to find.
		if hits := p.Finds(room, "말하다", len(want)); len(hits) != len(want) || hits[0].Text != want[len(want)-1] {
			t.Errorf("%s finds %+v", p.User.Nickname, hits)
		}
		rooms, err := p.Rooms(t.Context())
		if err != nil || len(rooms) != 1 || rooms[0].ID != room {
			t.Errorf("%s has the rooms %+v, %v", p.User.Nickname, rooms, err)
		}
	}
}
