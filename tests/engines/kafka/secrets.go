package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// user is who clients of a secure cluster are.
const user = "knatter"

// secrets are the files of a secure cluster, made once for a folder.
type secrets struct {
	ca                    string // certificate of the authority that signs all others
	server                string // key and certificate of the brokers
	clientCert, clientKey string
	password              string // of user
}

func secretsIn(dir string) secrets {
	return secrets{
		ca:         filepath.Join(dir, "ca.pem"),
		server:     filepath.Join(dir, "server.pem"),
		clientCert: filepath.Join(dir, "client.pem"),
		clientKey:  filepath.Join(dir, "client-key.pem"),
		password:   filepath.Join(dir, "password"),
	}
}

func makeSecrets(dir string) (secrets, error) {
	s := secretsIn(dir)
	if _, err := os.Stat(s.password); err == nil { // written last
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, err
	}
	ca, err := newAuthority()
	if err != nil {
		return s, err
	}
	serverCert, serverKey, err := ca.sign("127.0.0.1", x509.ExtKeyUsageServerAuth)
	if err != nil {
		return s, err
	}
	clientCert, clientKey, err := ca.sign(user, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return s, err
	}
	for _, f := range []struct {
		path string
		data []byte
	}{
		{s.ca, ca.pem},
		{s.server, append(serverKey, serverCert...)},
		{s.clientCert, clientCert},
		{s.clientKey, clientKey},
		{s.password, []byte(rand.Text())},
	} {
		if err := os.WriteFile(f.path, f.data, 0o600); err != nil {
			return s, err
		}
	}
	return s, nil
}

// properties are what brokers need for their clients' listener.
func (s secrets) properties() map[string]string {
	password, _ := os.ReadFile(s.password) // just written
	const listener = "listener.name.client."
	return map[string]string{
		"listener.security.protocol.map":            "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
		listener + "ssl.keystore.type":              "PEM",
		listener + "ssl.keystore.location":          s.server,
		listener + "ssl.truststore.type":            "PEM",
		listener + "ssl.truststore.location":        s.ca,
		listener + "ssl.client.auth":                "required",
		listener + "sasl.enabled.mechanisms":        "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
		listener + "scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		listener + "scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		listener + "plain.sasl.jaas.config":         fmt.Sprintf(`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, user, password),
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

const validity = 30 * 24 * time.Hour

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Knatter's tests"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(validity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// sign returns a new certificate and its key, both PEM.
func (a *authority) sign(name string, usage x509.ExtKeyUsage) (cert, private []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    a.cert.NotBefore,
		NotAfter:     a.cert.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
