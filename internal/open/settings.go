package open

import (
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/setting"
)

// LogSettings are how to reach the log, as [LogConfig] reads them.
func LogSettings() []setting.Setting { return new(logSettings).connection() }

// TopicSettings are how the log's topics are made, beside [LogSettings].
func TopicSettings() []setting.Setting { return new(logSettings).topics() }

// Partitions is the number of partitions of chat.rooms. Programs that do not make topics
// check it.
func Partitions() setting.Setting { return partitions(new(int32)) }

// DeliveryPartitions is the number of partitions of chat.deliveries; p is 0 if it is not
// set.
func DeliveryPartitions(p *int32) setting.Setting {
	return setting.Number(p, "delivery-partitions", 1, 100_000, "Number of partitions of chat.deliveries, which is the maximum number of connectors; default as above")
}

// StoreSetting is where the stores are, as [StoreOf] reads it.
func StoreSetting() setting.Setting {
	return setting.Text(new(string), "store", "URL", "URL of the stores: mongodb://host/database, or pebble:directory for a single process")
}

// KeySetting is where the public keys are, as [Keys] reads it.
func KeySetting(p *string) setting.Setting {
	return setting.URL(p, "jwks", "URL of the accounts function's public keys, such as http://accounts/.well-known/jwks.json").Require()
}

// SignerSetting is where the signing key is, as [Signer] reads it.
func SignerSetting(p *string) setting.Setting {
	return setting.Text(p, "keys", "file",
		"File with the Ed25519 key that signs tokens (PEM, PKCS #8: openssl genpkey -algorithm ed25519); the variable may hold the key itself").Require()
}

// CallerSettings are the secrets that [Callers] reads, for functions and for those who
// call them.
func CallerSettings() []setting.Setting {
	return []setting.Setting{
		setting.Text(new(string), "caller-secret", "secret,...", "Secrets by which functions know their callers, which are the connector and whatever follows the log: callers show the first, functions accept any").Secret(),
		setting.Text(new(string), "caller-secret-file", "file", "File with these secrets instead"),
	}
}

// StoreAndLogSettings are those of [StoreAndLog].
func StoreAndLogSettings() []setting.Setting {
	return append(LogSettings(), Partitions(), StoreSetting().Require())
}

// FunctionURL is where a function is served.
func FunctionURL(p *string, name string) setting.Setting {
	return setting.URL(p, "function-"+name, "URL of the function "+name)
}

// EventFunctionURLs are where the event functions are served, none of them required; of
// then has them by name.
func EventFunctionURLs(of map[string]string) (all []setting.Setting) {
	for _, f := range chat.EventFunctions {
		s := FunctionURL(new(string), f.Name)
		all = append(all, setting.Func(s.Name, s.Value, s.Usage, func(value string) error {
			of[f.Name] = value
			return setting.CheckURL(value)
		}))
	}
	return all
}

// logSettings are the settings of the log.
type logSettings struct {
	brokers      []string
	generation   int
	mechanism    string
	user         string
	password     string
	passwordFile string
	tls          bool
	ca           string
	cert         string
	key          string
	partitions   int32
	deliveries   int32
	replication  int16
	retention    int64
}

func (l *logSettings) connection() []setting.Setting {
	return []setting.Setting{
		setting.Words(&l.brokers, "brokers", "host:port,...", "Brokers of the log, which speaks Kafka's protocol").Require(),
		setting.Number(&l.generation, "generation", 0, 31, "Lowest generation the log may be in; a log that is behind its stores begins the next one by itself"),
		setting.Text(&l.mechanism, "sasl-mechanism", "name", "SASL mechanism for the brokers: SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN, which requires TLS"),
		setting.Text(&l.user, "sasl-user", "name", "SASL user for the brokers"),
		setting.Text(&l.password, "sasl-password", "password", "Password of the SASL user").Secret(),
		setting.Text(&l.passwordFile, "sasl-password-file", "file", "File with the password instead; read again for each connection"),
		setting.Switch(&l.tls, "tls", "Connect to the brokers over TLS; implied by each of the files below"),
		setting.Text(&l.ca, "tls-ca", "file", "File with the certificate authorities of the brokers; by default the system's"),
		setting.Text(&l.cert, "tls-cert", "file", "File with the client certificate, for brokers that require one"),
		setting.Text(&l.key, "tls-key", "file", "File with the certificate's key; both are read again for each connection"),
	}
}

func (l *logSettings) topics() []setting.Setting {
	return []setting.Setting{
		partitions(&l.partitions),
		DeliveryPartitions(&l.deliveries),
		setting.Number(&l.replication, "replication", 1, 100, "Replication factor of all topics; by default what it is, or the brokers' default when they are created"),
		setting.Size(&l.retention, "retention-bytes", 1, "Maximum size of each partition of chat.rooms, in bytes; -1 means no limit. By default what it is, or 256 MiB when the topic is created"),
	}
}

func (l *logSettings) all() []setting.Setting { return slices.Concat(l.connection(), l.topics()) }

func partitions(p *int32) setting.Setting {
	return setting.Number(p, "partitions", 1, 100_000, "Number of partitions of chat.rooms. It is for good: another number would move rooms. By default what there are, or 16 when the topic is created")
}
