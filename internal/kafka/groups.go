package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"knatter.dev/chat"
)

// Mark is a position to rewind a group to. The zero value is the start of the log.
type Mark struct {
	Time      time.Time // unless zero, the first event logged at this time or later
	Partition int32     // with Offset
	Offset    int64     // unless 0, rewinds this partition alone
}

// Rewound describes a group's position in one partition of chat.rooms.
type Rewound struct {
	Partition int32
	From, To  int64 // the next offset before and after
}

// Rewind moves a group back in the log, so that it handles events again. It never moves
// forward: a partition that has not reached the mark stays where it is. A partition
// that the group has not begun starts at its beginning anyway, so it is not in the
// result.
//
// Errors: Conflict if the group has members, or the offset is not below its position;
// Invalid if the brokers refuse us; Unavailable.
func Rewind(ctx context.Context, c Config, group string, mark Mark) ([]Rewound, error) {
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	admin := kadm.NewClient(client)
	members, err := membersOf(ctx, admin, group)
	if err != nil {
		return nil, startFailure("group "+group, err)
	}
	if members > 0 {
		return nil, chat.Errorf(chat.Conflict, "%s has %d members: stop its consumers first. One that was killed counts for some seconds more", group, members)
	}
	committed, err := committedOffsets(ctx, admin, group)
	if err != nil {
		return nil, startFailure("group "+group, err)
	}
	marks, err := offsetsOf(ctx, admin, mark)
	if err != nil {
		return nil, startFailure("offsets of "+chat.TopicRooms, err)
	}
	var rewound []Rewound
	offsets := make(kadm.Offsets)
	for _, to := range marks.Offsets().Sorted() {
		from, ok := committed[to.Partition]
		switch {
		case ok && to.At < from:
			rewound = append(rewound, Rewound{Partition: to.Partition, From: from, To: to.At})
			offsets.AddOffset(chat.TopicRooms, to.Partition, to.At, -1)
		case mark.Offset != 0:
			return nil, chat.Errorf(chat.Conflict, "offset %d of partition %d is not below the position of %s: it would skip what was never handled", to.At, to.Partition, group)
		case ok:
			rewound = append(rewound, Rewound{Partition: to.Partition, From: from, To: from})
		}
	}
	if len(offsets) == 0 {
		return rewound, nil
	}
	// Brokers refuse the commit if a member has joined meanwhile.
	err = admin.CommitAllOffsets(ctx, group, offsets)
	if errors.Is(err, kerr.UnknownMemberID) {
		return nil, chat.Errorf(chat.Conflict, "%s has a new member: stop its consumers", group)
	}
	return rewound, startFailure("rewinding "+group, err)
}

// membersOf returns the number of a group's members. It retries while a new cluster has
// no coordinator yet.
func membersOf(ctx context.Context, admin *kadm.Client, group string) (members int, err error) {
	err = patiently(ctx, func() error {
		described, err := admin.DescribeGroups(ctx, group)
		if err == nil {
			err = described[group].Err
		}
		if errors.Is(err, kerr.GroupIDNotFound) {
			err = nil
		}
		members = len(described[group].Members)
		return err
	})
	return members, err
}

// committedOffsets returns a group's committed offsets in chat.rooms, by partition.
func committedOffsets(ctx context.Context, admin *kadm.Client, group string) (committed map[int32]int64, err error) {
	err = patiently(ctx, func() error {
		answers, err := admin.FetchOffsets(ctx, group)
		if err == nil {
			err = answers.Error()
		}
		if errors.Is(err, kerr.GroupIDNotFound) {
			answers, err = nil, nil
		}
		committed = make(map[int32]int64)
		answers.Each(func(o kadm.OffsetResponse) {
			if o.Topic == chat.TopicRooms && o.At >= 0 {
				committed[o.Partition] = o.At
			}
		})
		return err
	})
	return committed, err
}

func offsetsOf(ctx context.Context, admin *kadm.Client, mark Mark) (offsets kadm.ListedOffsets, err error) {
	starts, err := admin.ListStartOffsets(ctx, chat.TopicRooms)
	if err == nil {
		err = starts.Error()
	}
	switch {
	case err != nil:
		return nil, err
	case !mark.Time.IsZero():
		offsets, err = admin.ListOffsetsAfterMilli(ctx, mark.Time.UnixMilli(), chat.TopicRooms)
		if err == nil {
			err = offsets.Error()
		}
		return offsets, err
	case mark.Offset == 0:
		return starts, nil
	}
	start, ok := starts.Lookup(chat.TopicRooms, mark.Partition)
	if !ok {
		return nil, chat.Errorf(chat.Invalid, "%s has no partition %d", chat.TopicRooms, mark.Partition)
	}
	if mark.Offset < start.Offset {
		return nil, chat.Errorf(chat.Invalid, "partition %d begins at offset %d: earlier records have expired", mark.Partition, start.Offset)
	}
	start.Offset = mark.Offset
	return kadm.ListedOffsets{chat.TopicRooms: {mark.Partition: start}}, nil
}

// TopicState is the current state of a topic.
type TopicState struct {
	Name       string
	Partitions int
	Replicas   int   // of the partition with the fewest
	Records    int64 // upper bound: the offsets between the partitions' starts and ends
	Expired    int64 // records that the partitions have dropped from their starts
}

// GroupState is the current state of an event function's group.
type GroupState struct {
	Name    string
	Members int
	Lag     int64 // records of chat.rooms that are not handled yet
}

// State returns the state of our topics and groups. Errors: Invalid if the brokers
// refuse us, Unavailable.
func State(ctx context.Context, c Config) (topics []TopicState, groups []GroupState, err error) {
	client, err := newClient(c)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	s := states{admin: kadm.NewClient(client)}
	if err := s.readTopics(ctx, c); err != nil {
		return nil, nil, startFailure("topics", err)
	}
	for _, f := range chat.EventFunctions {
		if err := s.readGroup(ctx, f.Group); err != nil {
			return nil, nil, startFailure("group "+f.Group, err)
		}
	}
	return s.topics, s.groups, nil
}

type states struct {
	admin        *kadm.Client
	starts, ends kadm.ListedOffsets
	topics       []TopicState
	groups       []GroupState
}

func (s *states) readTopics(ctx context.Context, c Config) (err error) {
	var names []string
	for _, t := range c.topics() {
		names = append(names, t.name)
	}
	details, err := s.admin.ListTopics(ctx, names...)
	if err == nil {
		err = details.Error()
	}
	if err != nil {
		return err
	}
	if s.starts, err = s.admin.ListStartOffsets(ctx, names...); err == nil {
		err = s.starts.Error()
	}
	if err != nil {
		return err
	}
	if s.ends, err = s.admin.ListEndOffsets(ctx, names...); err == nil {
		err = s.ends.Error()
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		t := TopicState{Name: name, Partitions: len(details[name].Partitions), Replicas: details[name].Partitions.NumReplicas()}
		for partition, end := range s.ends[name] {
			start := s.starts[name][partition].Offset
			t.Records += end.Offset - start
			t.Expired += start
		}
		s.topics = append(s.topics, t)
	}
	return nil
}

func (s *states) readGroup(ctx context.Context, group string) error {
	members, err := membersOf(ctx, s.admin, group)
	if err != nil {
		return err
	}
	committed, err := committedOffsets(ctx, s.admin, group)
	if err != nil {
		return err
	}
	state := GroupState{Name: group, Members: members}
	for partition, end := range s.ends[chat.TopicRooms] {
		at, ok := committed[partition]
		if start := s.starts[chat.TopicRooms][partition].Offset; !ok || at < start {
			at = start
		}
		state.Lag += end.Offset - at
	}
	s.groups = append(s.groups, state)
	return nil
}
