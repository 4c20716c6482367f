package recent_test

import (
	"fmt"
	"testing"

	"knatter.dev/chat/internal/recent"
)

func TestTheOldestIsForgotten(t *testing.T) {
	m := recent.New[int](3)
	key := func(i int) recent.Key { return m.Key("room", fmt.Sprint(i)) }
	for i := range 10 {
		m.Set(key(i), i)
		m.Set(key(max(0, i-1)), i) // what is set again gets no younger
		for j := range 11 {
			v, ok := m.Get(key(j))
			want := j
			if j < i {
				want = j + 1
			}
			if remembered := j <= i && j > i-3; ok != remembered || ok && v != want {
				t.Errorf("after %d: %d is %d, %t, want %d, %t", i, j, v, ok, want, remembered)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	m, other := recent.New[int](1), recent.New[int](1)
	if key := m.Key("a", "b"); key != m.Key("a", "b") || m.Hash("a") != m.Key("a")[0] {
		t.Error("the same strings have two keys")
	}
	if m.Key("a", "b") == m.Key("ab", "") || m.Key("a", "b") == m.Key("b", "a") || m.Key("a") == m.Key("a", "") {
		t.Error("different strings have one key")
	}
	if m.Key("a") == other.Key("a") {
		t.Error("keys can be predicted")
	}
}
