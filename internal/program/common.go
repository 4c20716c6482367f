package program

import (
	"slices"

	"knatter.dev/chat"
)

// Store is where the stores are.
var Store = Setting{
	Name: "store", Value: "URL", Required: true,
	Usage: "of the stores: mongodb://host/database; or pebble:directory, for one process alone",
}

// JWKS is where the public keys are.
var JWKS = Setting{
	Name: "jwks", Value: "URL", Required: true, Check: HTTP,
	Usage: "of the accounts function's public keys: http://accounts/.well-known/jwks.json",
}

// Generation is of the log.
var Generation = Setting{
	Name: "generation", Value: "number", Default: "0", Check: Number(0, 31),
	Usage: "of the log, which sequences carry in their upper bits; one more for each new log",
}

// Log is how to reach the log, as open.LogConfig takes it.
var Log = []Setting{
	{
		Name: "brokers", Value: "host:port,...", Required: true,
		Usage: "of the log, which speaks Kafka's protocol",
	},
	Generation,
	{Name: "sasl-mechanism", Value: "name", Usage: "by which we log in at the brokers: SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN, which needs TLS"},
	{Name: "sasl-user", Value: "name", Usage: "with which we log in at the brokers"},
	{Name: "sasl-password", Value: "password", NoFlag: true, Usage: "of that user"},
	{Name: "sasl-password-file", Value: "file", Usage: "with the password instead; read again for each connection"},
	{Name: "tls", Usage: "talk to the brokers over TLS; also when one of these files is given"},
	{Name: "tls-ca", Value: "file", Usage: "of the authorities that brokers' certificates are from; the system's if there is none"},
	{Name: "tls-cert", Value: "file", Usage: "of our certificate, for brokers that want one"},
	{Name: "tls-key", Value: "file", Usage: "of its key; read again, with the certificate, for each connection"},
}

// Partitions of the topics. Programs that do not make topics check them.
var (
	Partitions = Setting{
		Name: "partitions", Value: "number", Check: Number(1, 100_000),
		Usage: "of chat.rooms: for good, as another number moves rooms; if it is not set, what there are, 16 when they are made",
	}
	DeliveryPartitions = Setting{
		Name: "delivery-partitions", Value: "number", Check: Number(1, 100_000),
		Usage: "of chat.deliveries, the most connectors that there can be; if it is not set, as above",
	}
)

// Callers are the secrets of open.Callers, for functions and for those who call them.
var Callers = []Setting{
	{
		Name: "caller-secret", NoFlag: true, Value: "secret,...",
		Usage: "by which functions know their callers, the connector and what follows the log: callers show the first, functions take any",
	},
	{Name: "caller-secret-file", Value: "file", Usage: "with these secrets instead"},
}

// LogAndStore are the settings of open.StoreAndLog.
func LogAndStore() []Setting { return slices.Concat(Log, []Setting{Partitions, Store}) }

// Topics is how the log's topics are made, beside [Log].
var Topics = []Setting{
	Partitions, DeliveryPartitions,
	{Name: "replication", Value: "number", Check: Number(1, 100), Usage: "of all topics; if it is not set, what there is, the brokers' own when they are made"},
	{
		Name: "retention-bytes", Value: "bytes",
		Usage: "kept of each partition of chat.rooms, -1 for everything; if it is not set, what it is, 256 MiB when it is made",
	},
}

// FunctionURL is where a function is served.
func FunctionURL(name string, required bool) Setting {
	return Setting{
		Name: "function-" + name, Value: "URL", Required: required, Check: HTTP,
		Usage: "at which the function " + name + " is served",
	}
}

// EventFunctionURLs are where the event functions are served, none of them
// required.
func EventFunctionURLs() (all []Setting) {
	for _, f := range chat.EventFunctions {
		all = append(all, FunctionURL(f.Name, false))
	}
	return all
}
