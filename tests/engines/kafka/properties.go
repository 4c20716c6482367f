package kafka

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// clusterID is any 16 bytes; a folder keeps it.
const clusterID = "a25hdHRlci10ZXN0cy0tLQ"

// properties are a broker's server.properties: Kafka's defaults but for
// replication, the sizes of what a test needs none of, and failures noticed sooner.
func (c *Cluster) properties(b *broker) []byte {
	var voters []string
	for _, v := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", v.id, v.quorum))
	}
	replicas := min(len(c.brokers), 3)
	settings := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(b.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      "CONTROLLER",
		"listeners":                      fmt.Sprintf("CLIENT://%s,INTERNAL://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", b.addr(), b.internal, b.quorum),
		"advertised.listeners":           fmt.Sprintf("CLIENT://%s,INTERNAL://127.0.0.1:%d", b.addr(), b.internal),
		"inter.broker.listener.name":     "INTERNAL",
		"listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       b.path("data"),

		"auto.create.topics.enable":                "false",
		"default.replication.factor":               strconv.Itoa(replicas),
		"offsets.topic.replication.factor":         strconv.Itoa(replicas),
		"offsets.topic.num.partitions":             "4",
		"transaction.state.log.replication.factor": strconv.Itoa(replicas),
		"transaction.state.log.min.isr":            strconv.Itoa((replicas + 1) / 2),
		"transaction.state.log.num.partitions":     "4",

		"log.cleaner.dedupe.buffer.size": strconv.Itoa(4 << 20),
		"log.cleaner.threads":            "1",
		"num.network.threads":            "2",
		"num.io.threads":                 "4",

		// Five seconds after a broker was killed others lead, not nine.
		"broker.session.timeout.ms":    "5000",
		"broker.heartbeat.interval.ms": "500",
		// A group of which there is one member doesn't wait for more.
		"group.initial.rebalance.delay.ms": "0",
		"controlled.shutdown.enable":       "true",
	}
	if c.opts.Secure {
		maps.Copy(settings, c.files.properties())
	}
	maps.Copy(settings, c.opts.Settings)

	var file bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&file, "%s=%s\n", key, settings[key])
	}
	return file.Bytes()
}

// logging is the brokers' log4j configuration.
const logging = `status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %m (%c{1})%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
`
