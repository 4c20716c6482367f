package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

// Signer issues tokens with one private key.
type Signer struct {
	private jose.JSONWebKey
	signer  jose.Signer
}

// NewSigner returns a signer with the key. The key's ID is its thumbprint (RFC 7638),
// so every process with the same key uses the same ID.
func NewSigner(key ed25519.PrivateKey) *Signer {
	private := jose.JSONWebKey{Key: key, Algorithm: string(jose.EdDSA), Use: "sig"}
	thumbprint, err := private.Thumbprint(crypto.SHA256)
	if err != nil {
		panic("auth: not an Ed25519 key: " + err.Error()) // a key of the wrong length: a programmer's error
	}
	private.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic("auth: " + err.Error())
	}
	return &Signer{private: private, signer: signer}
}

// Sign issues a token with the claims.
func (s *Signer) Sign(c Claims) (string, error) {
	token, err := jwt.Signed(s.signer).Claims(jwt.Claims{
		ID:       uuid.NewString(), // makes tokens issued in the same second differ
		Issuer:   Issuer,
		Audience: jwt.Audience{Issuer},
		Subject:  string(c.User),
		IssuedAt: jwt.NewNumericDate(time.Now()),
		Expiry:   jwt.NewNumericDate(c.Expires),
	}).Claims(names{Session: c.Session, Nickname: c.Nickname}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// KeySet returns the public key, for publication.
func (s *Signer) KeySet() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.private.Public()}}
}

// Derive returns a secret of 32 bytes derived from the private key, a different one for
// each purpose (RFC 5869). All who have the key can derive it.
func (s *Signer) Derive(purpose string) []byte {
	seed := s.private.Key.(ed25519.PrivateKey).Seed()
	secret, err := hkdf.Key(sha256.New, seed, nil, purpose, sha256.Size)
	if err != nil {
		panic("auth: " + err.Error()) // cannot happen for 32 bytes
	}
	return secret
}

// Keys is a [KeySource] for verifiers in the signer's own process.
func (s *Signer) Keys(context.Context, bool) (jose.JSONWebKeySet, error) { return s.KeySet(), nil }

var _ KeySource = (*Signer)(nil).Keys

const pemType = "PRIVATE KEY"

// ParseKey returns a signer with the Ed25519 key in a PEM document (PKCS #8).
func ParseKey(document []byte) (*Signer, error) {
	block, _ := pem.Decode(document)
	if block == nil || block.Type != pemType {
		return nil, errors.New("not a PEM document with a " + pemType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("want an Ed25519 key, got %T", key)
	}
	return NewSigner(private), nil
}

// LoadKey returns a signer with the key in a PEM file.
func LoadKey(path string) (*Signer, error) {
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	s, err := ParseKey(document)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return s, nil
}

// LoadOrCreateKey returns a signer with the key in a PEM file. If there is no such
// file, it creates one with a new key, readable by its owner only. The file is complete
// or absent at any time, and processes that create it at the same time get the same
// key.
func LoadOrCreateKey(path string) (*Signer, error) {
	s, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("creating the signing key %s: %w", path, err)
	}
	return LoadKey(path)
}

// createKey writes a new key beside path and links it into place. Unlike a rename, that
// fails if another process was faster. Errors: fs.ErrExist.
func createKey(path string) (err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	// No token may be issued before the key's name would survive a power cut.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
