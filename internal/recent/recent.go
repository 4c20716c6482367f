// Package recent remembers what was seen lately, in bounded memory.
package recent

import "hash/maphash"

// Memory maps keys to values. When it is full, a new key replaces the oldest one. It
// must be created by [New], and is not safe for concurrent use, except for its hashes.
type Memory[V any] struct {
	seeds  [2]maphash.Seed
	values map[Key]V
	ring   []Key // in the order in which they were added
	max    int
	next   int // in the ring, to be replaced
}

// Key stands for strings. It is so large that no two keys are ever the same by chance,
// and differs from process to process, so that nobody can choose two that are.
type Key [2]uint64

// New returns a memory of at most so many keys.
func New[V any](keys int) *Memory[V] {
	return &Memory[V]{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, values: make(map[Key]V), max: keys}
}

// Key returns the key for strings, none of which has a zero byte.
func (m *Memory[V]) Key(parts ...string) Key {
	return Key{hash(m.seeds[0], parts), hash(m.seeds[1], parts)}
}

// Hash returns half a key.
func (m *Memory[V]) Hash(parts ...string) uint64 { return hash(m.seeds[0], parts) }

func hash(seed maphash.Seed, parts []string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, part := range parts {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// Get returns the value of a key, and reports whether it is remembered.
func (m *Memory[V]) Get(k Key) (V, bool) {
	v, ok := m.values[k]
	return v, ok
}

// Set sets the value of a key. A key that is remembered keeps its age.
func (m *Memory[V]) Set(k Key, v V) {
	if _, ok := m.values[k]; !ok {
		m.add(k)
	}
	m.values[k] = v
}

func (m *Memory[V]) add(k Key) {
	if len(m.ring) < m.max {
		m.ring = append(m.ring, k)
		return
	}
	delete(m.values, m.ring[m.next])
	m.ring[m.next] = k
	m.next = (m.next + 1) % m.max
}
