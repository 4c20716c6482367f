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

// Every user of the machine can connect to the log's port. So there are two kinds of
// clients: those that know the log's secret may do anything, and all others are guests,
// who read. kfake decides by ACLs what guests may do. It requires every client to log
// in, so the connection of each client begins with the log-in of a guest, which the
// client does not see (conn.go). A client that knows the secret logs in over that.

// User is the user who may do anything. The password is the log's secret.
const User = "knatter"

const (
	guest     = ""               // the name with which guests are logged in
	principal = "User:ANONYMOUS" // and the principal that kfake makes of it

	// ownGroups are prefixes of the names of groups that are closed to guests: the
	// groups of our functions, and those of other programs that want to be left alone.
	ownGroups = "knatter-"

	topics = "chat." // prefix of the topics that guests may read

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

// access returns the options that control access.
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

// grant lets guests read. It sends the request that other clients would: kfake takes
// ACLs as options only for a new directory.
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

// reading returns an ACL for what guests read.
func reading(of kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, permission kmsg.ACLPermissionType) kmsg.CreateACLsRequestCreation {
	return kmsg.CreateACLsRequestCreation{
		ResourceType: of, ResourceName: name, ResourcePatternType: pattern,
		Principal: principal, Host: "*", Operation: kmsg.ACLOperationRead, PermissionType: permission,
	}
}

// Secret is the password of [User].
func (b *Broker) Secret() string { return b.secret }

// SASL returns the mechanism by which our own clients log in.
func (b *Broker) SASL() sasl.Mechanism {
	return plain.Auth{User: User, Pass: b.secret}.AsMechanism()
}
