package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"knatter.dev/chat"
)

// SASL returns a mechanism by which a client authenticates: PLAIN, SCRAM-SHA-256 or
// SCRAM-SHA-512. It calls password for each connection, so that the password may change
// while the client runs. Errors: Invalid for any other mechanism.
func SASL(mechanism, user string, password func() (string, error)) (sasl.Mechanism, error) {
	asScram := func(context.Context) (scram.Auth, error) {
		pass, err := password()
		return scram.Auth{User: user, Pass: pass}, err
	}
	switch mechanism {
	case "SCRAM-SHA-512":
		return scram.Sha512(asScram), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(asScram), nil
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := password()
			return plain.Auth{User: user, Pass: pass}, err
		}), nil
	}
	return nil, chat.Errorf(chat.Invalid, "unknown SASL mechanism %q: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", mechanism)
}

// TLS returns a client's configuration for TLS. Brokers are verified by the authorities
// in the file ca, or the system's if ca is "". The client authenticates by the
// certificate and key in the files cert and key, or not at all if both are "". These
// two files are read for each connection, so that they may be renewed while the client
// runs. Errors: Invalid.
func TLS(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, chat.Errorf(chat.Invalid, "CA certificates: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, chat.Errorf(chat.Invalid, "%s has no certificate", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, chat.Errorf(chat.Invalid, "a client certificate needs its key, and a key its certificate")
	}
	if cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, chat.Errorf(chat.Invalid, "client certificate: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// refused are answers of brokers that retrying does not change.
var refused = []error{
	kerr.SaslAuthenticationFailed,
	kerr.UnsupportedSaslMechanism,
	kerr.ClusterAuthorizationFailed,
	kerr.TopicAuthorizationFailed,
	kerr.GroupAuthorizationFailed,
}

// startFailure is like failure, for the start of a process. At that time a refused
// certificate or password is a configuration mistake, and reported as one. Later it is
// Unavailable, since it is not the fault of the event being handled.
func startFailure(what string, err error) error {
	for _, r := range refused {
		if errors.Is(err, r) {
			return chat.Errorf(chat.Invalid, "%s: the brokers refuse us: %w", what, err)
		}
	}
	var unknown *tls.CertificateVerificationError
	var alert *net.OpError // how crypto/tls reports an alert of the other side
	if errors.As(err, &unknown) || errors.As(err, &alert) && alert.Op == "remote error" {
		return chat.Errorf(chat.Invalid, "%s: no TLS connection: %w", what, err)
	}
	return failure(what, err)
}
