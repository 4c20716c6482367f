package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

// logAttacks are those on the port of the embedded log, by guests: who have not its
// secret.
var logAttacks = []attack{
	{name: logPrefix + "silent", does: "opens 1,000 connections to the log that say nothing, or begin a request or a log-in and never end it",
		holds: "a new guest is answered within 2 s", run: logSilence},
	{name: logPrefix + "large", does: "200 connections to the log announce requests of 100 MB, or of all there is to announce, and send what is taken",
		holds: "a new guest is answered within 2 s", run: logSizes},
	{name: logPrefix + "requests", does: "64 guests ask the log for all it has, append to it and join groups, as fast as they can",
		holds: "nothing is appended", run: logRequests},
	{name: logPrefix + "logins", does: "64 guests guess the log's secret as fast as they can",
		holds: "a new guest is answered within 2 s", run: logGuesses},
}

const (
	logPrefix   = "log-"
	logCrowd    = 200
	logGuests   = 64
	logPatience = 5 * time.Second // for an answer
	announced   = 100 << 20
)

// guest is a client of the log.
type guest struct {
	net.Conn
	format *kmsg.RequestFormatter
	number int32
}

func (a *arena) guest() (*guest, error) {
	conn, err := net.DialTimeout("tcp", a.log, time.Second)
	if err != nil {
		return nil, err
	}
	return &guest{Conn: conn, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("hostile"))}, nil
}

// asks sends a request and returns its answer, from the correlation's number on.
func (g *guest) asks(r kmsg.Request) ([]byte, error) {
	g.number++
	_ = g.SetDeadline(time.Now().Add(logPatience))
	if _, err := g.Write(g.format.AppendRequest(nil, r, g.number)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(g, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > announced {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	answer := make([]byte, n)
	_, err := io.ReadFull(g, answer)
	return answer, err
}

func versioned(r kmsg.Request, version int16) kmsg.Request {
	r.SetVersion(version)
	return r
}

// guestIsAnswered asks as a client does that has just come.
func (a *arena) guestIsAnswered(ctx context.Context) error {
	begun := time.Now()
	for {
		g, err := a.guest()
		if err == nil {
			_, err = g.asks(versioned(kmsg.NewPtrMetadataRequest(), 7))
			_ = g.Close()
		}
		switch took := time.Since(begun); {
		case ctx.Err() != nil:
			return nil
		case took > answersIn:
			return fmt.Errorf("a guest of the log was not answered within %v: %w", answersIn, err)
		case err == nil:
			return nil
		}
	}
}

// logCrowds has many guests that each do something with their connection, over and over,
// and one who only wants to be answered.
func (a *arena) logCrowds(ctx context.Context, n int, each func(i int, g *guest) error) error {
	var all errgroup.Group
	for i := range n {
		all.Go(func() error {
			return again(ctx, func() error {
				g, err := a.guest()
				if err != nil {
					return nil // it does not let us in, which is its right
				}
				defer func() { _ = g.Close() }()
				defer context.AfterFunc(ctx, func() { _ = g.Close() })()
				return each(i, g)
			})
		})
	}
	all.Go(func() error { return again(ctx, func() error { return a.guestIsAnswered(ctx) }) })
	return all.Wait()
}

func logSilence(ctx context.Context, a *arena) error {
	metadata := kmsg.NewRequestFormatter().AppendRequest(nil, versioned(kmsg.NewPtrMetadataRequest(), 7), 1)
	return a.logCrowds(ctx, crowd, func(i int, g *guest) error {
		switch i % 4 {
		case 1:
			_, _ = g.Write(metadata[:2])
		case 2:
			_, _ = g.Write(metadata[:len(metadata)-1])
		case 3:
			handshake := kmsg.NewPtrSASLHandshakeRequest()
			handshake.Mechanism = "SCRAM-SHA-512"
			_, _ = g.asks(versioned(handshake, 1))
		}
		_ = g.SetDeadline(time.Time{})
		_, _ = g.Read(make([]byte, 1024)) // until it is closed
		return nil
	})
}

func logSizes(ctx context.Context, a *arena) error {
	part := make([]byte, 64<<10)
	return a.logCrowds(ctx, logCrowd, func(i int, g *guest) error {
		size := uint32(announced)
		if i%2 == 0 {
			size = 1<<32 - 1
		}
		if _, err := g.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			return nil
		}
		for sent := 0; sent < announced && ctx.Err() == nil; {
			n, err := g.Write(part)
			if err != nil {
				return nil
			}
			if sent += n; sent > 8<<20 {
				return errors.New("a guest may send a request of over 8 MiB")
			}
		}
		return nil
	})
}

func logRequests(ctx context.Context, a *arena) error {
	return a.logCrowds(ctx, logGuests, func(i int, g *guest) error {
		for ctx.Err() == nil {
			var r kmsg.Request
			switch (int(g.number) + i) % 4 {
			case 0:
				r = versioned(kmsg.NewPtrMetadataRequest(), 7)
			case 1:
				r = fetchAll()
			case 2:
				r = appended()
			case 3:
				join := kmsg.NewPtrJoinGroupRequest()
				join.Group, join.ProtocolType, join.SessionTimeoutMillis = rand.Text(), "consumer", 10_000
				r = versioned(join, 5)
			}
			answer, err := g.asks(r)
			if err != nil {
				return nil // turned away
			}
			if produce, ok := r.(*kmsg.ProduceRequest); ok {
				resp := produce.ResponseKind().(*kmsg.ProduceResponse)
				resp.SetVersion(produce.Version)
				if err := resp.ReadFrom(answer[4:]); err != nil {
					return fmt.Errorf("the answer to an append: %w", err)
				}
				for _, t := range resp.Topics {
					for _, p := range t.Partitions {
						if p.ErrorCode == 0 {
							return errors.New("a guest has appended to the log")
						}
					}
				}
			}
		}
		return nil
	})
}

func fetchAll() kmsg.Request {
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxBytes, fetch.MaxWaitMillis = 1<<30, 0
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = chat.TopicRooms
	for i := range int32(4) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes = i, 1<<30
		topic.Partitions = append(topic.Partitions, p)
	}
	fetch.Topics = append(fetch.Topics, topic)
	return versioned(fetch, 11)
}

func appended() kmsg.Request {
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks, produce.TimeoutMillis = -1, 1000
	topic, partition := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, partition.Records = chat.TopicRooms, make([]byte, 32<<10)
	topic.Partitions = append(topic.Partitions, partition)
	produce.Topics = append(produce.Topics, topic)
	return versioned(produce, 8)
}

func logGuesses(ctx context.Context, a *arena) error {
	return a.logCrowds(ctx, logGuests, func(i int, g *guest) error {
		handshake := kmsg.NewPtrSASLHandshakeRequest()
		handshake.Mechanism = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}[i%3]
		if _, err := g.asks(versioned(handshake, 1)); err != nil {
			return nil
		}
		login := kmsg.NewPtrSASLAuthenticateRequest()
		login.SASLAuthBytes = []byte("\x00knatter\x00" + rand.Text())
		if i%3 > 0 {
			login.SASLAuthBytes = []byte("n,,n=knatter,r=" + rand.Text())
		}
		answer, err := g.asks(versioned(login, 1))
		if err != nil {
			return nil // turned away
		}
		resp := kmsg.NewPtrSASLAuthenticateResponse()
		resp.SetVersion(1)
		if err := resp.ReadFrom(answer[4:]); err == nil && resp.ErrorCode == 0 && i%3 == 0 {
			return errors.New("a guess was right")
		}
		return nil
	})
}
