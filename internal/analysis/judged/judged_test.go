package main

import "testing"

// TestTargets: of each kind so much is found, and hardly anything that must not be.
func TestTargets(t *testing.T) {
	messages, err := lines("messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	items, err := read(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(items) < 1000 {
		t.Fatalf("%d queries", len(items))
	}
	targets := map[string]float64{
		"inflection": 0.99, "two syllables": 0.99, "part of a compound": 0.99, "particles": 0.99, "spacing": 0.99,
		"choseong of 2": 0.95, "choseong of 3": 0.95, "phrase": 0.99, "mixed Latin": 0.97, "numbers": 1, "accents": 1, "letters of chat": 1,
	}
	finds := ours(messages, items)
	total, found := make(map[string]int), make(map[string]int)
	mustNot, wrong := 0, 0
	for i, it := range items {
		ok := finds(i)
		if !it.must {
			mustNot++
			if ok {
				wrong++
			}
			continue
		}
		if total[it.kind]++; ok {
			found[it.kind]++
		} else {
			t.Logf("%s: %q is not found in %q", it.kind, it.query, messages[it.message])
		}
	}
	for kind, n := range total {
		if target, ok := targets[kind]; !ok || share(found[kind], n) < target {
			t.Errorf("%s: found %d of %d, target %.2f", kind, found[kind], n, target)
		}
	}
	if share(wrong, mustNot) > 0.01 {
		t.Errorf("%d of %d that must not be found are", wrong, mustNot)
	}
}
