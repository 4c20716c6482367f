package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/wait/waittest"
)

// dial connects to a log as another program does, without the secret unless opts
// have it.
func dial(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addrs()...), kgo.RetryTimeout(5 * time.Second), kgo.RequestRetries(2), kgo.RecordRetries(2),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// consume reads events until there are as many as are wanted.
func consume(t *testing.T, client *kgo.Client, want int) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(ids) < want {
		fetches := client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			t.Fatalf("after %d of %d events: %v", len(ids), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if e, err := (kafka.Config{}).Event(r); err == nil && e.Type == chat.MessagePosted {
				ids = append(ids, e.ID)
			}
		})
	}
	return ids
}

// each runs a test on a log in memory, in a new directory and in one that was there.
func each(t *testing.T, f func(t *testing.T, b *Broker, c kafka.Config)) {
	for _, where := range []string{"in memory", "in a new directory", "in a directory of before"} {
		t.Run(where, func(t *testing.T) {
			var o Options
			if where != "in memory" {
				o.Dir = filepath.Join(t.TempDir(), "log")
			}
			b, c := open(t, o)
			if where == "in a directory of before" {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				b, c = open(t, o)
			}
			t.Cleanup(func() { _ = b.Close() })
			f(t, b, c)
		})
	}
}

// Who has no secret reads, directly and in groups of its own.
func TestGuestsRead(t *testing.T) {
	each(t, func(t *testing.T, b *Broker, c kafka.Config) {
		fill(t, c, 30)
		if got := consume(t, dial(t, b, kgo.ConsumeTopics(chat.TopicRooms)), 30); len(got) != 30 {
			t.Errorf("read %d events", len(got))
		}
		group := []kgo.Opt{kgo.ConsumerGroup("bookkeeping"), kgo.ConsumeTopics(chat.TopicRooms), kgo.DisableAutoCommit()}
		first := dial(t, b, group...)
		consume(t, first, 30)
		if err := first.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Fatal(err)
		}
		first.Close()
		fill(t, c, 5)
		if got := consume(t, dial(t, b, group...), 5); len(got) != 5 {
			t.Errorf("the group goes on with %d events, want 5", len(got))
		}
		partition, _ := fullest(b)
		commit(t, c, "knatter-persist", partition, 1)
		lags, err := kadm.NewClient(dial(t, b)).Lag(t.Context(), "bookkeeping", "knatter-persist")
		if err == nil {
			err = lags.Error()
		}
		if err != nil {
			t.Errorf("lags: %v", err)
		}
	})
}

// refused are the answers to who may not.
func refused(code int16) bool {
	err := kerr.ErrorForCode(code)
	for _, r := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
	} {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// attempts are requests that change something, by what they are.
func attempts(partition int32) map[string]func(ctx context.Context, c *kgo.Client) (int16, error) {
	rooms := chat.TopicRooms
	admin := func(req kmsg.Request, code func(kmsg.Response) int16) func(context.Context, *kgo.Client) (int16, error) {
		return func(ctx context.Context, c *kgo.Client) (int16, error) {
			resp, err := c.Request(ctx, req)
			if err == nil {
				err = kerr.ErrorForCode(code(resp))
			}
			return codeOf(resp, err)(func(kmsg.Response) error { return nil })
		}
	}
	all := map[string]func(context.Context, *kgo.Client) (int16, error){
		"produce": func(ctx context.Context, c *kgo.Client) (int16, error) {
			err := c.ProduceSync(ctx, &kgo.Record{Topic: rooms, Key: []byte("room"), Value: []byte(`{"text":"forged"}`)}).FirstErr()
			var refusal *kerr.Error
			if errors.As(err, &refusal) {
				return refusal.Code, nil
			}
			return 0, err
		},
		"create topic": admin(&kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "chat.forged", NumPartitions: 1, ReplicationFactor: 1}}, TimeoutMillis: 1000},
			func(r kmsg.Response) int16 { return r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode }),
		"delete topic": admin(&kmsg.DeleteTopicsRequest{TopicNames: []string{rooms}, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &rooms}}, TimeoutMillis: 1000},
			func(r kmsg.Response) int16 { return r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode }),
		"more partitions": admin(&kmsg.CreatePartitionsRequest{Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: rooms, Count: 9}}, TimeoutMillis: 1000},
			func(r kmsg.Response) int16 { return r.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode }),
		"alter configs": admin(&kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: rooms}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.AlterConfigsResponse).Resources[0].ErrorCode }),
		"alter configs of the broker": admin(&kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "0",
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "connections.max.reauth.ms", Value: kmsg.StringPtr("1")}}}}},
			func(r kmsg.Response) int16 {
				return r.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
			}),
		"create ACL": admin(&kmsg.CreateACLsRequest{Creations: []kmsg.CreateACLsRequestCreation{{ResourceType: kmsg.ACLResourceTypeTopic, ResourceName: "*", ResourcePatternType: kmsg.ACLResourcePatternTypeLiteral,
			Principal: "User:*", Host: "*", Operation: kmsg.ACLOperationAll, PermissionType: kmsg.ACLPermissionTypeAllow}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.CreateACLsResponse).Results[0].ErrorCode }),
		"delete ACL": admin(&kmsg.DeleteACLsRequest{Filters: []kmsg.DeleteACLsRequestFilter{{ResourceType: kmsg.ACLResourceTypeAny, ResourcePatternType: kmsg.ACLResourcePatternTypeAny,
			Operation: kmsg.ACLOperationAny, PermissionType: kmsg.ACLPermissionTypeAny}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.DeleteACLsResponse).Results[0].ErrorCode }),
		"set a password": admin(&kmsg.AlterUserSCRAMCredentialsRequest{Upsertions: []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{{Name: User, Mechanism: 1, Iterations: 4096, Salt: []byte("salt"), SaltedPassword: make([]byte, 32)}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.AlterUserSCRAMCredentialsResponse).Results[0].ErrorCode }),
		"see passwords": admin(&kmsg.DescribeUserSCRAMCredentialsRequest{},
			func(r kmsg.Response) int16 { return r.(*kmsg.DescribeUserSCRAMCredentialsResponse).ErrorCode }),
		"quota": admin(&kmsg.AlterClientQuotasRequest{Entries: []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user"}},
			Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1}}}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.AlterClientQuotasResponse).Entries[0].ErrorCode }),
		"producer": admin(&kmsg.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1},
			func(r kmsg.Response) int16 { return r.(*kmsg.InitProducerIDResponse).ErrorCode }),
		"transaction": admin(&kmsg.InitProducerIDRequest{TransactionalID: kmsg.StringPtr("t"), TransactionTimeoutMillis: 1000, ProducerID: -1, ProducerEpoch: -1},
			func(r kmsg.Response) int16 { return r.(*kmsg.InitProducerIDResponse).ErrorCode }),
		"delete the reader's own group": admin(&kmsg.DeleteGroupsRequest{Groups: []string{"bookkeeping"}},
			func(r kmsg.Response) int16 { return r.(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode }),
		"elect": admin(&kmsg.ElectLeadersRequest{TimeoutMillis: 1000},
			func(r kmsg.Response) int16 { return r.(*kmsg.ElectLeadersResponse).ErrorCode }),
		"delete records": func(ctx context.Context, c *kgo.Client) (int16, error) {
			offsets := make(kadm.Offsets)
			offsets.AddOffset(rooms, partition, 1, -1)
			return codeOf(kadm.NewClient(c).DeleteRecords(ctx, offsets))(func(r kadm.DeleteRecordsResponses) error { return r.Error() })
		},
	}
	for _, f := range chat.EventFunctions {
		group := f.Group
		all["commit to "+group] = func(ctx context.Context, c *kgo.Client) (int16, error) {
			offsets := make(kadm.Offsets)
			offsets.AddOffset(rooms, partition, 9, -1)
			return codeOf(kadm.NewClient(c).CommitOffsets(ctx, group, offsets))(func(r kadm.OffsetResponses) error { return r.Error() })
		}
		all["join "+group] = admin(&kmsg.JoinGroupRequest{Group: group, SessionTimeoutMillis: 6000, RebalanceTimeoutMillis: 6000, ProtocolType: "consumer",
			Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range"}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.JoinGroupResponse).ErrorCode })
		all["join "+group+" the new way"] = admin(&kmsg.ConsumerGroupHeartbeatRequest{Group: group, MemberID: "member", RebalanceTimeoutMillis: 6000, SubscribedTopicNames: []string{rooms}, Topics: []kmsg.ConsumerGroupHeartbeatRequestTopic{}},
			func(r kmsg.Response) int16 { return r.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode })
		all["throw out of "+group] = admin(&kmsg.LeaveGroupRequest{Group: group, MemberID: "member", Members: []kmsg.LeaveGroupRequestMember{{MemberID: "member"}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.LeaveGroupResponse).ErrorCode })
		all["delete "+group] = admin(&kmsg.DeleteGroupsRequest{Groups: []string{group}},
			func(r kmsg.Response) int16 { return r.(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode })
		all["forget offsets of "+group] = admin(&kmsg.OffsetDeleteRequest{Group: group, Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: rooms, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: partition}}}}},
			func(r kmsg.Response) int16 { return r.(*kmsg.OffsetDeleteResponse).ErrorCode })
	}
	return all
}

func codeOf[T any](answer T, err error) func(func(T) error) (int16, error) {
	return func(in func(T) error) (int16, error) {
		if err == nil {
			err = in(answer)
		}
		var refusal *kerr.Error
		var auth *kadm.AuthError
		switch {
		case errors.As(err, &refusal):
			return refusal.Code, nil
		case errors.As(err, &auth):
			return kerr.TopicAuthorizationFailed.Code, nil
		}
		return 0, err
	}
}

// Who has no secret changes nothing.
func TestGuestsChangeNothing(t *testing.T) {
	each(t, func(t *testing.T, b *Broker, c kafka.Config) {
		fill(t, c, 10)
		partition, end := fullest(b)
		for _, f := range chat.EventFunctions {
			commit(t, c, f.Group, partition, 3)
		}
		for name, attempt := range attempts(partition) {
			client := dial(t, b)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if code, err := attempt(ctx, client); err != nil || !refused(code) {
				t.Errorf("%s: error %v, %v", name, kerr.ErrorForCode(code), err)
			}
			cancel()
			client.Close()
		}
		info := b.cluster.PartitionInfo(chat.TopicRooms, partition)
		if info.LogStartOffset != 0 || info.HighWatermark != end || len(b.cluster.PartitionInfos(chat.TopicRooms)) != 4 || b.cluster.TopicInfo("chat.forged") != nil {
			t.Errorf("the log has changed: %+v", info)
		}
		for _, f := range chat.EventFunctions {
			group := b.cluster.GroupInfo(f.Group)
			if group == nil || len(group.Members) != 0 || group.Commits[chat.TopicRooms][partition].Offset != 3 {
				t.Errorf("the group %s has changed: %+v", f.Group, group)
			}
		}
		fill(t, c, 1) // by who knows the secret
	})
}

// The secret opens everything, by each mechanism; nothing else does.
func TestLogIn(t *testing.T) {
	for _, private := range []bool{false, true} {
		t.Run(fmt.Sprint("private: ", private), func(t *testing.T) {
			b, _ := open(t, Options{Private: private})
			defer func() { _ = b.Close() }()
			mechanisms := func(user, pass string) map[string]sasl.Mechanism {
				return map[string]sasl.Mechanism{
					"PLAIN":         plain.Auth{User: user, Pass: pass}.AsMechanism(),
					"SCRAM-SHA-256": scram.Auth{User: user, Pass: pass}.AsSha256Mechanism(),
					"SCRAM-SHA-512": scram.Auth{User: user, Pass: pass}.AsSha512Mechanism(),
				}
			}
			try := func(m sasl.Mechanism) error {
				client := dial(t, b, kgo.SASL(m))
				defer client.Close()
				resp, err := (&kmsg.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1}).RequestWith(t.Context(), client)
				if err == nil {
					err = kerr.ErrorForCode(resp.ErrorCode)
				}
				return err
			}
			for name, m := range mechanisms(User, b.Secret()) {
				if err := try(m); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, wrong := range [][2]string{{User, "wrong"}, {User, strings.ToLower(b.Secret())}, {User, b.Secret() + " "}, {"somebody", b.Secret()}, {"ANONYMOUS", "x"}, {"admin", "admin"}} {
				for name, m := range mechanisms(wrong[0], wrong[1]) {
					if err := try(m); !errors.Is(err, kerr.SaslAuthenticationFailed) {
						t.Errorf("%s %q: %v", name, wrong, err)
					}
				}
			}
			// The client has no empty passwords.
			for _, user := range []string{User, "somebody", "ANONYMOUS", ""} {
				conn := wire(t, b)
				conn.send(&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
				conn.receive(&kmsg.SASLHandshakeResponse{Version: 1})
				conn.send(&kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00" + user + "\x00")})
				answer := new(kmsg.SASLAuthenticateResponse)
				if conn.receive(answer); answer.ErrorCode != kerr.SaslAuthenticationFailed.Code || !conn.closed() {
					t.Errorf("%q without a password: %+v", user, answer)
				}
			}
		})
	}
}

// A private log is read by nobody without its secret.
func TestPrivate(t *testing.T) {
	b, c := open(t, Options{Private: true})
	defer func() { _ = b.Close() }()
	fill(t, c, 3)
	conn := wire(t, b)
	conn.send(&kmsg.MetadataRequest{})
	if !conn.closed() {
		t.Error("a stranger is answered")
	}
	if got := consume(t, dial(t, b, kgo.SASL(b.SASL()), kgo.ConsumeTopics(chat.TopicRooms)), 3); len(got) != 3 {
		t.Errorf("read %d events", len(got))
	}
}

// rawConn is a client that says what it likes.
type rawConn struct {
	net.Conn
	t  *testing.T
	id int32
}

func wire(t *testing.T, b *Broker) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &rawConn{Conn: conn, t: t}
}

func (c *rawConn) send(req kmsg.Request) {
	c.t.Helper()
	c.id++
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, c.id)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) receive(resp kmsg.Response) {
	c.t.Helper()
	var size [4]byte
	_, err := io.ReadFull(c, size[:])
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if err == nil {
		_, err = io.ReadFull(c, answer)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if got := int32(binary.BigEndian.Uint32(answer)); got != c.id {
		c.t.Errorf("an answer to %d, want to %d", got, c.id)
	}
	body := answer[4:]
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawConn) closed() bool {
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || err != nil && !os.IsTimeout(err)
}

// Who has begun as a guest logs in over the same connection, and only by the secret.
func TestLateLogIn(t *testing.T) {
	b, c := open(t, Options{Dir: filepath.Join(t.TempDir(), "log")})
	defer func() { _ = b.Close() }()
	fill(t, c, 1)
	create := func(name string) kmsg.Request {
		return &kmsg.CreateTopicsRequest{Version: 4, TimeoutMillis: 1000, Topics: []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}}
	}
	begin := func() *rawConn {
		conn := wire(t, b)
		metadata := &kmsg.MetadataResponse{Version: 4}
		conn.send(&kmsg.MetadataRequest{Version: 4})
		if conn.receive(metadata); len(metadata.Topics) == 0 {
			t.Error("a guest sees no topics")
		}
		created := &kmsg.CreateTopicsResponse{Version: 4}
		conn.send(create("chat.early"))
		if conn.receive(created); !refused(created.Topics[0].ErrorCode) {
			t.Errorf("a guest: %v", kerr.ErrorForCode(created.Topics[0].ErrorCode))
		}
		handshake := &kmsg.SASLHandshakeResponse{Version: 1}
		conn.send(&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
		if conn.receive(handshake); handshake.ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(handshake.ErrorCode))
		}
		return conn
	}
	conn := begin()
	answer := &kmsg.SASLAuthenticateResponse{Version: 2}
	conn.send(&kmsg.SASLAuthenticateRequest{Version: 2, SASLAuthBytes: []byte("\x00" + User + "\x00" + b.Secret())})
	if conn.receive(answer); answer.ErrorCode != 0 {
		t.Fatalf("the right secret: %+v", answer)
	}
	created := &kmsg.CreateTopicsResponse{Version: 4}
	conn.send(create("chat.late"))
	if conn.receive(created); created.Topics[0].ErrorCode != 0 {
		t.Errorf("with the secret: %v", kerr.ErrorForCode(created.Topics[0].ErrorCode))
	}
	// It is no guest any more: nothing that it sends is too large.
	conn.send(&kmsg.MetadataRequest{Version: 4, Topics: []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(strings.Repeat("x", 30000))}, {Topic: kmsg.StringPtr(strings.Repeat("y", 30000))}, {Topic: kmsg.StringPtr(strings.Repeat("z", 30000))}}})
	conn.receive(&kmsg.MetadataResponse{Version: 4})

	conn = begin()
	conn.send(&kmsg.SASLAuthenticateRequest{Version: 2, SASLAuthBytes: []byte("\x00" + User + "\x00wrong")})
	if conn.receive(answer); answer.ErrorCode != kerr.SaslAuthenticationFailed.Code || answer.ErrorMessage == nil {
		t.Errorf("the wrong secret: %+v", answer)
	}
	if !conn.closed() {
		t.Error("the connection goes on")
	}
	// The first message of SCRAM names a user, and proves nothing.
	for _, next := range []kmsg.Request{create("chat.scram"), &kmsg.MetadataRequest{Version: 4}, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"}} {
		conn = wire(t, b)
		conn.send(&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "SCRAM-SHA-512"})
		conn.receive(&kmsg.SASLHandshakeResponse{Version: 1})
		conn.send(&kmsg.SASLAuthenticateRequest{Version: 1, SASLAuthBytes: []byte("n,,n=" + User + ",r=abcdefgh")})
		conn.receive(&kmsg.SASLAuthenticateResponse{Version: 1})
		conn.send(next)
		if !conn.closed() {
			t.Errorf("half a log-in, then %s: answered", kmsg.NameForKey(next.Key()))
		}
	}
	// Nor does a log-in that was not begun.
	conn = wire(t, b)
	conn.send(&kmsg.SASLAuthenticateRequest{Version: 1, SASLAuthBytes: []byte("\x00" + User + "\x00" + b.Secret())})
	answer = &kmsg.SASLAuthenticateResponse{Version: 1}
	if conn.receive(answer); answer.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("a log-in without a beginning: %+v", answer)
	}
	conn.send(create("chat.begun"))
	if conn.receive(created); !refused(created.Topics[0].ErrorCode) {
		t.Errorf("after it: %v", kerr.ErrorForCode(created.Topics[0].ErrorCode))
	}
	for _, name := range []string{"chat.early", "chat.scram", "chat.begun"} {
		if b.cluster.TopicInfo(name) != nil {
			t.Errorf("%s was created", name)
		}
	}
}

// Nothing that a stranger sends ends the process, or takes much of it.
func TestHostileGuests(t *testing.T) {
	b, c := open(t, Options{})
	defer func() { _ = b.Close() }()
	for name, bytes := range map[string][]byte{
		"no such request":   {0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"a negative one":    {0, 0, 0, 10, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"nothing":           {0, 0, 0, 0},
		"a byte":            {0, 0, 0, 1, 0},
		"half a header":     {0, 0, 0, 6, 0, 3, 0, 4, 0, 0},
		"four gigabytes":    {0xff, 0xff, 0xff, 0xff},
		"a hundred kB":      {0, 1, 0x80, 0},
		"a request of HTTP": []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	} {
		conn := wire(t, b)
		_, _ = conn.Write(bytes)
		if !conn.closed() {
			t.Errorf("%s: the connection goes on", name)
		}
	}
	silent := &kmsg.ProduceRequest{Version: 3, Acks: 0, Topics: []kmsg.ProduceRequestTopic{{Topic: chat.TopicRooms}}}
	conn := wire(t, b)
	if conn.send(silent); !conn.closed() {
		t.Error("an append that wants no answer is left without one")
	}
	// With the secret: what kfake doesn't know it must not see either.
	conn = wire(t, b)
	conn.send(&kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
	conn.receive(&kmsg.SASLHandshakeResponse{Version: 1})
	conn.send(&kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00" + User + "\x00" + b.Secret())})
	conn.receive(new(kmsg.SASLAuthenticateResponse))
	if _, _ = conn.Write([]byte{0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); !conn.closed() {
		t.Error("with the secret: no such request is answered")
	}
	fill(t, c, 1)
}

// A guest is given a bounded answer, and no session among those of others.
func TestGuestsFetch(t *testing.T) {
	b, c := open(t, Options{})
	defer func() { _ = b.Close() }()
	fill(t, c, 1200) // of 2 KB
	partition, _ := fullest(b)
	conn := wire(t, b)
	conn.send(&kmsg.FetchRequest{Version: 11, MaxBytes: 1 << 30, MinBytes: 1, MaxWaitMillis: 1000, Topics: []kmsg.FetchRequestTopic{{Topic: chat.TopicRooms,
		Partitions: []kmsg.FetchRequestTopicPartition{{Partition: partition, PartitionMaxBytes: 1 << 30, CurrentLeaderEpoch: -1, LogStartOffset: -1}}}}})
	answer := &kmsg.FetchResponse{Version: 11}
	conn.receive(answer)
	if answer.SessionID != 0 {
		t.Error("a guest got a session")
	}
	got := len(answer.Topics[0].Partitions[0].RecordBatches)
	if got == 0 || got > 2<<20 {
		t.Errorf("a guest got %d bytes at once", got)
	}
}

// Guests have so many groups.
func TestGuestsGroups(t *testing.T) {
	b, c := open(t, Options{})
	defer func() { _ = b.Close() }()
	fill(t, c, 1)
	partition, _ := fullest(b)
	commits := 0
	for i := range guestGroups + 10 {
		conn := wire(t, b)
		conn.send(&kmsg.OffsetCommitRequest{Version: 6, Group: fmt.Sprint("group-", i), Generation: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: chat.TopicRooms,
			Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: partition, Offset: 1, LeaderEpoch: -1, Metadata: kmsg.StringPtr(strings.Repeat("x", 10000))}}}}})
		if i >= guestGroups {
			if !conn.closed() {
				t.Fatalf("group %d is one too many", i)
			}
			continue
		}
		conn.receive(&kmsg.OffsetCommitResponse{Version: 6})
		if info := b.cluster.GroupInfo(fmt.Sprint("group-", i)); info != nil && info.Commits[chat.TopicRooms][partition].Offset == 1 {
			commits++
			if m := info.Commits[chat.TopicRooms][partition].Metadata; len(m) > guestMetadata {
				t.Errorf("%d bytes of metadata are kept", len(m))
			}
		}
	}
	if commits != guestGroups {
		t.Errorf("%d commits", commits)
	}
	commit(t, c, "group-with-the-secret", partition, 1)
}

// Silent connections keep out neither our own clients nor others.
func TestSilentConnections(t *testing.T) {
	b, c := open(t, Options{})
	defer func() { _ = b.Close() }()
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i := range 600 {
		wire(t, b)
		if i%100 == 0 {
			e := event(fmt.Sprint("while-", i), "room")
			if err := log.Append(t.Context(), &e); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(t, c, 1) // over new connections
	if got := consume(t, dial(t, b, kgo.ConsumeTopics(chat.TopicRooms)), 7); len(got) != 7 {
		t.Errorf("read %d events", len(got))
	}
}

// Requests of guests, over however many connections, leave others their time.
func TestFlood(t *testing.T) {
	b, c := open(t, Options{})
	defer func() { _ = b.Close() }()
	request := kmsg.NewRequestFormatter().AppendRequest(nil, &kmsg.MetadataRequest{Version: 4}, 1)
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	var sent atomic.Int64
	for range 16 {
		g.Go(func() error {
			for ctx.Err() == nil {
				conn, err := net.Dial("tcp", b.Addrs()[0])
				if err != nil {
					return err
				}
				for range 8 { // and is gone before it is answered
					if _, err := conn.Write(request); err == nil {
						sent.Add(1)
					}
				}
				_ = conn.Close()
				time.Sleep(time.Millisecond) // no more connections than there are ports
			}
			return nil
		})
	}
	for range 5 {
		start := time.Now()
		fill(t, c, 5) // over new connections
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("five events took %v", took)
		}
		more := sent.Load() + guestRate
		waittest.Until(t, "the flood goes on", func() bool { return sent.Load() >= more })
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if sent.Load() < 2*guestRate {
		t.Errorf("%d requests are no flood", sent.Load())
	}
}

// The secret stays, is nobody else's, and is made anew when it is lost or damaged.
func TestSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(filepath.Dir(dir), SecretFile)
	start := func() string {
		t.Helper()
		b, c := open(t, Options{Dir: dir})
		fill(t, c, 1)
		for _, p := range []string{path, dir} {
			if info, err := os.Stat(p); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("others can read %s: %v, %v", p, info.Mode(), err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(data)) != b.Secret() || len(b.Secret()) < 40 {
			t.Errorf("the file does not hold the secret: %d bytes, %v", len(data), err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Secret()
	}
	first := start()
	if start() != first {
		t.Error("the secret does not stay")
	}
	for name, harm := range map[string]func() error{
		"removed":           func() error { return os.Remove(path) },
		"empty":             func() error { return os.Truncate(path, 0) },
		"cut":               func() error { return os.Truncate(path, 20) },
		"something else":    func() error { return os.WriteFile(path, []byte("secret\n"), 0o600) },
		"read by others":    func() error { return os.Chmod(path, 0o640) },
		"log's open to all": func() error { return errors.Join(os.Chmod(dir, 0o755), os.Remove(path)) },
	} {
		before := start()
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		if start() == before {
			t.Errorf("%s: the secret is the same", name)
		}
	}
	// What kfake keeps of users and ACLs says nothing at the next start.
	for _, name := range []string{"sasl.json", "acls.json"} {
		for _, content := range []string{"", "{", `{"version":1,"plain":{"knatter":"known"},"acls":[{"principal":"User:*","host":"*","resource_type":2,"resource_name":"*","pattern":3,"operation":2,"permission":3}]}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			b, _ := open(t, Options{Dir: dir})
			client := dial(t, b, kgo.SASL(plain.Auth{User: User, Pass: "known"}.AsMechanism()))
			if err := client.Ping(t.Context()); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s is believed: %v", name, err)
			}
			if err := dial(t, b).ProduceSync(t.Context(), &kgo.Record{Topic: chat.TopicRooms}).FirstErr(); err == nil {
				t.Errorf("%s is believed: a guest writes", name)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
