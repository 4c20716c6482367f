package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// profile is the shape of a load.
type profile struct {
	name, about string
	users       int
	rooms       int // the users are spread evenly; 0 when nobody talks
	textBytes   int // of a message's text; 0 for a usual sentence
	life        life
	steps       []step
	storms      int           // times that all sockets are cut and come back
	climb       float64       // messages/s to add to the last step again and again until it fails
	p99, worst  time.Duration // targets of send→receipt over the measured steps; 0 for none
	lagDrain    time.Duration // target for the event functions to be done after the last step
	perSocket   int           // target of resident bytes a socket of the server; 0 for none
	sustained   float64       // target of messages/s that are sustained
}

// life is what goes on around the messages. Rooms must be small for it: of a reaction
// no more than ten users are shown by name.
type life struct {
	Reactions, Edits, Recalls float64 // for each message
	Typing                    bool    // who writes a message says so before
	Reads                     bool    // members mark what they have read
}

func (l *life) any() bool { return *l != life{} }

// step is one rate for some time.
type step struct {
	name     string
	rate     float64 // messages/s
	length   time.Duration
	measured bool
}

var profiles = []profile{
	{
		name: "seed", about: "5,000 users in 500 rooms of 10: 100 to 5,000 messages/s in steps, then 5 minutes at 5,000",
		users: 5000, rooms: 500,
		steps: slices.Concat(
			steps(15*time.Second, 100, 500, 1000, 2000, 3000, 4000),
			[]step{{"5000/s", 5000, 5 * time.Minute, true}},
		),
		p99: 250 * time.Millisecond, worst: time.Second, lagDrain: 5 * time.Second,
	},
	{
		name: "spike", about: "5,000 idle users, then 0 to 5,000 messages/s at once for 60 s, three times",
		users: 5000, rooms: 500,
		steps: []step{
			{"idle 1", 0, 15 * time.Second, false}, {"spike 1", 5000, time.Minute, true},
			{"idle 2", 0, 15 * time.Second, false}, {"spike 2", 5000, time.Minute, true},
			{"idle 3", 0, 15 * time.Second, false}, {"spike 3", 5000, time.Minute, true},
		},
		p99: time.Second, lagDrain: 5 * time.Second,
	},
	{
		name: "small", about: "5,000 users in 500 groups of 10: 2,000 messages/s in, 20,000/s out, 2 KB each",
		users: 5000, rooms: 500, textBytes: 2000,
		steps: []step{{"warm-up", 1000, 10 * time.Second, false}, {"2000/s", 2000, time.Minute, true}},
		p99:   100 * time.Millisecond, lagDrain: 5 * time.Second,
	},
	{
		name: "big", about: "5,000 users in 10 groups of 500: 30 messages/s in, 15,000/s out, 2 KB each",
		users: 5000, rooms: 10, textBytes: 2000,
		steps: []step{{"warm-up", 10, 10 * time.Second, false}, {"30/s", 30, time.Minute, true}},
		p99:   100 * time.Millisecond, lagDrain: 5 * time.Second,
	},
	{
		name: "steady", about: "as seed, one rate only: for trying a change out, with -rate and -length",
		users: 5000, rooms: 500,
		steps: []step{{"warm-up", 1000, 5 * time.Second, false}, {"5000/s", 5000, 30 * time.Second, true}},
		p99:   250 * time.Millisecond, worst: time.Second, lagDrain: 5 * time.Second,
	},
	{
		name: "max", about: "as seed, raising the rate until p99 > 1,000 ms or something is lost",
		users: 5000, rooms: 500,
		steps: slices.Concat(steps(10*time.Second, 1000, 3000), []step{{"5000/s", 5000, 20 * time.Second, true}}),
		climb: 1000, p99: time.Second, sustained: 10_000,
	},
	{
		name: "idle", about: "sessions that only listen: memory for each, CPU",
		users: 10_000, rooms: 1000,
		steps:     []step{{"idle", 0, 30 * time.Second, true}},
		perSocket: 10_000,
	},
	{
		name: "storm", about: "5,000 sessions are cut and resume within 5 s while 1,000 messages/s flow, three times",
		users: 5000, rooms: 500,
		steps:  []step{{"calm", 1000, 15 * time.Second, false}, {"storm", 1000, time.Minute, true}},
		storms: 3, p99: time.Second, lagDrain: 5 * time.Second,
	},
	{
		name: "lively", about: "5,000 users in 500 rooms of 10: 2,500 messages/s, for each 100 of them 30 reactions, 5 edits, 2 recalls; read marks, typing",
		users: 5000, rooms: 500,
		life:  life{Reactions: 0.3, Edits: 0.05, Recalls: 0.02, Typing: true, Reads: true},
		steps: []step{{"warm-up", 500, 5 * time.Second, false}, {"2500/s", 2500, time.Minute, true}},
		p99:   250 * time.Millisecond, lagDrain: 5 * time.Second,
	},
}

func steps(length time.Duration, rates ...float64) []step {
	var s []step
	for _, r := range rates {
		s = append(s, step{fmt.Sprintf("%.0f/s", r), r, length, false})
	}
	return s
}

func profileNamed(name string) (profile, error) {
	var names []string
	for _, p := range profiles {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return profile{}, fmt.Errorf("no profile %q; there are %s", name, strings.Join(names, ", "))
}

// scaled changes how many users there are, how much they send and for how long.
// The rooms keep their size.
func (p profile) scaled(users int, rate float64, length time.Duration) profile {
	if users > 0 {
		p.rooms = max(p.rooms*users/p.users, min(p.rooms, 1))
		p.users = users
	}
	p.steps = slices.Clone(p.steps)
	if rate > 0 {
		highest := slices.MaxFunc(p.steps, func(a, b step) int { return int(a.rate - b.rate) }).rate
		for i, s := range p.steps {
			if s.rate > 0 {
				p.steps[i].rate = s.rate * rate / highest
				p.steps[i].name = strings.Replace(s.name, fmt.Sprintf("%.0f/s", s.rate), fmt.Sprintf("%.0f/s", p.steps[i].rate), 1)
			}
		}
	}
	if length > 0 {
		for i, s := range p.steps {
			if s.measured {
				p.steps[i].length = length
			} else {
				p.steps[i].length = min(s.length, max(length/4, 2*time.Second))
			}
		}
	}
	return p
}
