package embedded

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Whoever is on the machine can connect to the log's port, not only who started
// us. So there are two kinds of clients: who knows the log's secret may do anything,
// and everybody else is a guest, who reads. What a guest may do is kfake's to decide, by
// ACLs; it asks everybody to log in, so the connection of each client begins with
// the log-in of a guest, of which the client sees nothing (conn.go), and a client that
// knows the secret logs in over it.

// User is the one who may do anything, with the log's secret as password.
const User = "knatter"

const (
	guest     = ""               // how guests are logged in
	principal = "User:ANONYMOUS" // and who kfake takes that for

	// ownGroups begin the names of groups that are closed to guests: of our
	// functions, and of other programs that want to be left alone.
	ownGroups = "knatter-"

	topics = "chat." // begin the names of topics that guests read

	// A connection may log in again only within what it was logged in for; never mind
	// how long that is.
	session = 365 * 24 * time.Hour

	grantTimeout = 10 * time.Second
)

// unserved requests are of no use to us, not to readers either, and keep things in
// memory for whoever asks.
var unserved = []kmsg.Key{
	kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry,
	kmsg.ShareGroupHeartbeat, kmsg.ShareGroupDescribe, kmsg.ShareFetch, kmsg.ShareAcknowledge,
	kmsg.DescribeShareGroupOffsets, kmsg.AlterShareGroupOffsets, kmsg.DeleteShareGroupOffsets,
}

// access are the options that say who may do what.
func (b *Broker) access() []kfake.Opt {
	versions := kversion.Tip()
	for _, key := range unserved {
		versions.SetMaxKeyVersion(int16(key), -1)
	}
	opts := []kfake.Opt{
		kfake.EnableSASL(),
		kfake.EnableACLs(),
		kfake.MaxVersions(versions),
		kfake.BrokerConfigs(map[string]string{"connections.max.reauth.ms": strconv.FormatInt(session.Milliseconds(), 10)}),
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		opts = append(opts, kfake.Superuser(mechanism, User, b.secret))
	}
	if !b.private {
		opts = append(opts, kfake.User("PLAIN", guest, ""))
	}
	return opts
}

// grant lets guests read. It is asked for as other clients would: kfake takes ACLs as
// options only where it begins a new directory.
func (b *Broker) grant() error {
	if b.private {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.SASL(b.SASL()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), grantTimeout)
	defer cancel()
	grants := kmsg.NewPtrCreateACLsRequest()
	grants.Creations = []kmsg.CreateACLsRequestCreation{
		reading(kmsg.ACLResourceTypeTopic, topics, kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLPermissionTypeAllow),
		// That is joining them and committing to them; to see where groups are is free.
		reading(kmsg.ACLResourceTypeGroup, "*", kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLPermissionTypeAllow),
		reading(kmsg.ACLResourceTypeGroup, ownGroups, kmsg.ACLResourcePatternTypePrefixed, kmsg.ACLPermissionTypeDeny),
	}
	resp, err := grants.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, r := range resp.Results {
		err = errors.Join(err, kerr.ErrorForCode(r.ErrorCode))
	}
	return err
}

// reading is an ACL about what guests read.
func reading(of kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, permission kmsg.ACLPermissionType) kmsg.CreateACLsRequestCreation {
	return kmsg.CreateACLsRequestCreation{
		ResourceType: of, ResourceName: name, ResourcePatternType: pattern,
		Principal: principal, Host: "*", Operation: kmsg.ACLOperationRead, PermissionType: permission,
	}
}

// Secret is the password of [User].
func (b *Broker) Secret() string { return b.secret }

// SASL is how our own clients log in.
func (b *Broker) SASL() sasl.Mechanism {
	return plain.Auth{User: User, Pass: b.secret}.AsMechanism()
}
