package open_test

import (
	"slices"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/open"
)

func TestLogConfig(t *testing.T) {
	c, err := open.LogConfig(map[string]string{"KNATTER_BROKERS": "a:9092, b:9092,", "KNATTER_GENERATION": "3"})
	if err != nil || !slices.Equal(c.Brokers, []string{"a:9092", "b:9092"}) || c.Generation != 3 {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, env := range []map[string]string{
		nil,
		{"KNATTER_BROKERS": " ,"},
		{"KNATTER_BROKERS": "a:9092", "KNATTER_GENERATION": "32"},
		{"KNATTER_BROKERS": "a:9092", "KNATTER_GENERATION": "one"},
	} {
		if _, err := open.LogConfig(env); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%v: got %v, want Invalid", env, err)
		}
	}
}
