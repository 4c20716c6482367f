package program

import (
	"slices"

	"knatter.dev/chat"
)

// Store is where the stores are.
var Store = Setting{
	Name: "store", Value: "URL", Required: true,
	Usage: "URL of the stores: mongodb://host/database, or pebble:directory for a single process",
}

// JWKS is where the public keys are.
var JWKS = Setting{
	Name: "jwks", Value: "URL", Required: true, Check: HTTP,
	Usage: "URL of the accounts function's public keys, such as http://accounts/.well-known/jwks.json",
}

// Keys is where the signing key is.
var Keys = Setting{
	Name: "keys", Value: "file", Required: true,
	Usage: "File with the Ed25519 key that signs tokens (PEM, PKCS #8: openssl genpkey -algorithm ed25519); the variable may hold the key itself",
}

// Log is how to reach the log, as open.LogConfig takes it.
var Log = []Setting{
	{
		Name: "brokers", Value: "host:port,...", Required: true,
		Usage: "Brokers of the log, which speaks Kafka's protocol",
	},
	{
		Name: "generation", Value: "number", Default: "0", Check: Number(0, 31),
		Usage: "Lowest generation the log may be in; a log that is behind its stores begins the next one by itself",
	},
	{Name: "sasl-mechanism", Value: "name", Usage: "SASL mechanism for the brokers: SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN, which requires TLS"},
	{Name: "sasl-user", Value: "name", Usage: "SASL user for the brokers"},
	{Name: "sasl-password", Value: "password", NoFlag: true, Usage: "Password of the SASL user"},
	{Name: "sasl-password-file", Value: "file", Usage: "File with the password instead; read again for each connection"},
	{Name: "tls", Usage: "Connect to the brokers over TLS; implied by each of the files below"},
	{Name: "tls-ca", Value: "file", Usage: "File with the certificate authorities of the brokers; by default the system's"},
	{Name: "tls-cert", Value: "file", Usage: "File with the client certificate, for brokers that require one"},
	{Name: "tls-key", Value: "file", Usage: "File with the certificate's key; both are read again for each connection"},
}

// Partitions of the topics. Programs that do not make topics check them.
var (
	Partitions = Setting{
		Name: "partitions", Value: "number", Check: Number(1, 100_000),
		Usage: "Number of partitions of chat.rooms. It is for good: another number would move rooms. By default what there are, or 16 when the topic is created",
	}
	DeliveryPartitions = Setting{
		Name: "delivery-partitions", Value: "number", Check: Number(1, 100_000),
		Usage: "Number of partitions of chat.deliveries, which is the maximum number of connectors; default as above",
	}
)

// Callers are the secrets of open.Callers, for functions and for those who call them.
var Callers = []Setting{
	{
		Name: "caller-secret", NoFlag: true, Value: "secret,...",
		Usage: "Secrets by which functions know their callers, which are the connector and whatever follows the log: callers show the first, functions accept any",
	},
	{Name: "caller-secret-file", Value: "file", Usage: "File with these secrets instead"},
}

// LogAndStore are the settings of open.StoreAndLog.
func LogAndStore() []Setting { return slices.Concat(Log, []Setting{Partitions, Store}) }

// Topics is how the log's topics are made, beside [Log].
var Topics = []Setting{
	Partitions, DeliveryPartitions,
	{Name: "replication", Value: "number", Check: Number(1, 100), Usage: "Replication factor of all topics; by default what it is, or the brokers' default when they are created"},
	{
		Name: "retention-bytes", Value: "bytes",
		Usage: "Maximum size of each partition of chat.rooms, in bytes; -1 means no limit. By default what it is, or 256 MiB when the topic is created",
	},
}

// FunctionURL is where a function is served.
func FunctionURL(name string, required bool) Setting {
	return Setting{
		Name: "function-" + name, Value: "URL", Required: required, Check: HTTP,
		Usage: "URL of the function " + name,
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
