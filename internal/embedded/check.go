package embedded

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/damage"
	"knatter.dev/chat/internal/sealed"
)

// check inspects a data directory: the log in it, and what is noted beside the log.
type check struct {
	data     string // the directory
	log      string // the log's directory
	known    bool   // the ledger was there
	count    uint64 // of its documents
	places   Places
	problems []damage.Problem
}

// Check checks that the log in a directory, and the notes about it in the surrounding
// one, are as they were written. It changes nothing. All problems that it finds can be
// repaired, some with a loss. No process may have the log open.
//
// Errors: those of reading.
func Check(dir string) ([]damage.Problem, error) {
	c := &check{data: filepath.Dir(dir), log: dir}
	if err := c.readPlaces(); err != nil {
		return nil, err
	}
	if err := c.secret(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(c.log, "partitions")); errors.Is(err, fs.ErrNotExist) {
		c.gone()
		return c.problems, nil
	} else if err != nil {
		return nil, err
	}
	for _, step := range []func() error{c.meta, c.groups, c.topics, c.partitions} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.problems, nil
}

// Prepare repairs what can be repaired without a loss, and removes what the log
// recreates, or what means nothing after a restart, so that damage there does not
// matter. It logs its repairs. The caller must hold the lock of the log.
//
// Errors: Unavailable, naming the file, if a repair would lose something.
func Prepare(dir string) error {
	problems, err := Check(dir)
	if err != nil {
		return chat.Errorf(chat.Unavailable, "checking the log: %w", err)
	}
	if err := damage.Refuse(problems); err != nil {
		return err
	}
	for _, p := range problems {
		slog.Warn("the log was damaged; nothing is lost", slog.String("file", p.File), slog.String("what", p.What))
	}
	if err := damage.Mend(problems); err != nil {
		return err
	}
	for _, name := range derived {
		paths, _ := filepath.Glob(filepath.Join(dir, name)) // the pattern is well-formed
		for _, path := range paths {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// derived files repeat what the segments say, or hold what clients of earlier processes
// knew.
var derived = []string{
	"partitions/*/snapshot.json", "pids.log", "seq_windows.json", "session_state.json",
	"acls.json", "sasl.json", "quotas.json", "broker_configs.json",
}

func (c *check) found(file, what, loss string, mend func() error) {
	c.problems = append(c.problems, damage.Problem{File: file, What: what, Loss: loss, Mend: mend})
}

// readPlaces reads the ledger, and from the groups' file what has been handled since.
func (c *check) readPlaces() error {
	path := filepath.Join(c.data, ledgerName)
	f, err := os.Open(path)
	if err == nil {
		c.count, c.known, err = sealed.Read(f, &c.places)
		err = errors.Join(err, f.Close())
		if err == nil && !c.known {
			c.found(path, "it is damaged", "", func() error { return os.Remove(path) })
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// gone checks a log that is missing. If everything in it was handled, nobody needs it.
func (c *check) gone() {
	var lost []string
	for p, end := range c.places.Ends {
		if loss := c.loss(p, 0, end); loss != "" {
			lost = append(lost, loss)
		}
	}
	if c.places.Dead > 0 {
		lost = append(lost, "dead letters")
	}
	if len(c.places.Ends) == 0 {
		return // a new directory
	}
	ledger := filepath.Join(c.data, ledgerName)
	c.found(c.log, "it is missing", strings.Join(lost, ", "), func() error {
		return errors.Join(os.RemoveAll(c.log), os.Remove(ledger))
	})
}

// loss says what is lost if a partition of chat.rooms lacks the events of a range of
// offsets: nothing, if they were handled.
func (c *check) loss(partition int, from, to int64) string {
	from = max(from, at(c.places.Handled, partition))
	if from >= to {
		return ""
	}
	return fmt.Sprintf("%d events, at offsets %d to %d of partition %d of %s", to-from, from, to-1, partition, chat.TopicRooms)
}

// meta checks the file by which kfake recognizes a log.
func (c *check) meta() error {
	path := filepath.Join(c.log, "meta.json")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const current = `{"version":1,"cluster_id":"` + ClusterID + `"}`
	var meta struct {
		Version int
	}
	if string(data) == current || json.Unmarshal(data, &meta) == nil && meta.Version > 1 && meta.Version < 100 {
		return nil // kfake itself refuses newer versions
	}
	c.found(path, state(data), "", func() error { return replace(path, []byte(current)) })
	return nil
}

// state says what is wrong with a data file.
func state(data []byte) string {
	if data == nil {
		return "it is missing"
	}
	return "it is damaged"
}

// groups checks the file of committed offsets. Its entries have a length, a checksum, a
// version and JSON. kfake does not read what follows a damaged entry, so the groups
// would resume from where they were then, and later commits must not be written after
// it.
func (c *check) groups() error {
	path := filepath.Join(c.log, "groups.log")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the groups begin at the start
	} else if err != nil {
		return err
	}
	committed := make(map[string]map[int]int64)
	whole := 0
	for entry, size := groupEntry(data); size > 0; entry, size = groupEntry(data[whole:]) {
		whole += size
		var e struct {
			Type, G, T string
			P          int
			O          int64
		}
		if json.Unmarshal(entry, &e) == nil && e.Type == "commit" && e.T == chat.TopicRooms {
			if committed[e.G] == nil {
				committed[e.G] = make(map[int]int64)
			}
			committed[e.G][e.P] = e.O
		}
	}
	for p := range committed[chat.Persist.Group] {
		handled := committed[chat.Persist.Group][p]
		for _, f := range chat.EventFunctions {
			handled = min(handled, committed[f.Group][p])
		}
		raise(&c.places.Handled, p, handled)
	}
	if whole < len(data) {
		c.found(path, fmt.Sprintf("it is damaged at byte %d; the groups go back to where they were by then", whole), "", func() error { return os.Truncate(path, int64(whole)) })
	}
	return nil
}

// topics checks the list of topics against its copy.
func (c *check) topics() error {
	path := filepath.Join(c.log, "topics.json")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keptPath := filepath.Join(c.data, topicsCopy)
	document, err := os.ReadFile(keptPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	kept, whole := sealed.Open(document)
	if document != nil && !whole {
		c.found(keptPath, "it is damaged", "", func() error { return os.Remove(keptPath) })
	}
	listed, ok := topicList(data)
	switch before, _ := topicList(kept); {
	case ok && (!whole || bytes.Equal(data, kept) || includes(listed, before)):
	case !whole:
		c.found(path, state(data), "all topics", func() error { return os.RemoveAll(c.log) })
		return nil
	default:
		listed = before
		c.found(path, state(data), "", func() error { return replace(path, kept) })
	}
	dirs, err := os.ReadDir(filepath.Join(c.log, "partitions"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		topic, partition, ok := partitionOf(d.Name())
		if ok && partition < listed[topic].Partitions {
			continue
		}
		dir := filepath.Join(c.log, "partitions", d.Name())
		c.found(dir, path+" does not have it", "what is in it", func() error { return os.RemoveAll(dir) })
	}
	return nil
}

type topicEntry struct {
	Name       string
	ID         json.RawMessage
	Partitions int
	Configs    map[string]string
}

// topicList reads a list of topics, and reports whether it is valid.
func topicList(data []byte) (map[string]topicEntry, bool) {
	var list struct {
		Version int
		Topics  []topicEntry
	}
	if json.Unmarshal(data, &list) != nil || list.Version != 1 {
		return nil, false
	}
	byName := make(map[string]topicEntry)
	for _, t := range list.Topics {
		byName[t.Name] = t
	}
	return byName, true
}

// includes reports whether a list has all topics of another one, unchanged.
func includes(all, some map[string]topicEntry) bool {
	for name, t := range some {
		has := all[name]
		if !bytes.Equal(has.ID, t.ID) || has.Partitions != t.Partitions || fmt.Sprint(has.Configs) != fmt.Sprint(t.Configs) {
			return false
		}
	}
	return true
}

const topicsCopy = "log.topics"

// KeepTopics keeps a copy of the list of topics, from which the list can be restored.
// It is called when the topics are as they should be.
func KeepTopics(dir string) error {
	document, err := os.ReadFile(filepath.Join(dir, "topics.json"))
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(dir), topicsCopy)
	copied := sealed.Seal(document)
	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, copied) {
		return nil
	}
	return replace(path, copied)
}

// partitionOf parses the name of a partition's directory.
func partitionOf(name string) (topic string, partition int, ok bool) {
	dash := strings.LastIndexByte(name, '-')
	if dash < 0 {
		return "", 0, false
	}
	topic, err := url.PathUnescape(name[:dash])
	if err != nil {
		return "", 0, false
	}
	partition, err = strconv.Atoi(name[dash+1:])
	return topic, partition, err == nil && partition >= 0
}

// partitions checks the segments of all partitions that exist or should exist.
func (c *check) partitions() error {
	root := filepath.Join(c.log, "partitions")
	dirs, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	var names []string
	for _, d := range dirs {
		names = append(names, d.Name())
	}
	for p := range c.places.Ends {
		names = append(names, fmt.Sprint(chat.TopicRooms, "-", p))
	}
	if c.places.Dead > 0 {
		names = append(names, chat.TopicDead+"-0")
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		topic, partition, ok := partitionOf(name)
		if !ok {
			continue // topics has reported it
		}
		p := partitionCheck{check: c, dir: filepath.Join(root, name), topic: topic, partition: partition}
		if err := p.run(); err != nil {
			return err
		}
	}
	return nil
}

// end returns the offset that a partition must reach, and reports whether it is known.
func (c *check) end(topic string, partition int) (int64, bool) {
	switch topic {
	case chat.TopicRooms:
		return max(at(c.places.Ends, partition), at(c.places.Handled, partition)), c.known
	case chat.TopicDead:
		return c.places.Dead, c.known
	}
	return 0, false
}

// ClusterID is the cluster ID of the embedded log.
const ClusterID = "knatter"

// groupEntry returns the first entry in the groups' file and its size including its
// head, which is 0 if the entry is damaged or missing.
func groupEntry(data []byte) (entry []byte, size int) {
	const head, version = 8, 2
	if len(data) < head+version {
		return nil, 0
	}
	length := int64(binary.LittleEndian.Uint32(data))
	if length < version || head+length > int64(len(data)) {
		return nil, 0
	}
	covered := data[head : head+length]
	if crc32.Checksum(covered, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, 0
	}
	return covered[version:], int(head + length)
}

// Used reports whether a data directory has, or had, a log.
func Used(data string) bool {
	_, err := os.Stat(filepath.Join(data, ledgerName))
	return err == nil
}
