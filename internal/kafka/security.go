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

// SASL is how a client proves who it is: by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
// password is called for each connection, so that it may change while the client
// runs. Errors: Invalid for another mechanism.
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
	return nil, chat.Errorf(chat.Invalid, "%q is no SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", mechanism)
}

// TLS is how a client knows the brokers, and they it: by the authorities whose
// certificates are in the file ca, or the system's if it is "", and by the
// certificate and key in the files cert and key, or none if both are "". These two
// are read for each connection, so that they may be renewed while the client runs.
// Errors: Invalid.
func TLS(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, chat.Errorf(chat.Invalid, "certificates of authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, chat.Errorf(chat.Invalid, "%s holds no certificate", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, chat.Errorf(chat.Invalid, "a client's certificate and its key come together")
	}
	if cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, chat.Errorf(chat.Invalid, "client's certificate: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// refused are the brokers' answers that no repetition mends.
var refused = []error{
	kerr.SaslAuthenticationFailed,
	kerr.UnsupportedSaslMechanism,
	kerr.ClusterAuthorizationFailed,
	kerr.TopicAuthorizationFailed,
	kerr.GroupAuthorizationFailed,
}

// startFailure is as failure, for the start of a process: there a certificate or a
// password that isn't taken is a mistake of who configured it, and said so. Later
// it is Unavailable, as what is being handled is not at fault.
func startFailure(what string, err error) error {
	for _, r := range refused {
		if errors.Is(err, r) {
			return chat.Errorf(chat.Invalid, "%s: the brokers refuse us: %w", what, err)
		}
	}
	var unknown *tls.CertificateVerificationError
	var alert *net.OpError // how crypto/tls tells what the other side objects to
	if errors.As(err, &unknown) || errors.As(err, &alert) && alert.Op == "remote error" {
		return chat.Errorf(chat.Invalid, "%s: no TLS connection: %w", what, err)
	}
	return failure(what, err)
}
