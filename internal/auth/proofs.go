package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"sync"

	"github.com/go-jose/go-jose/v4/jwt"
)

// maxProofs is how many tokens are remembered at least, of those that were used last;
// twice as many at most.
const maxProofs = 8192

// proof is a token whose signature is valid.
type proof struct {
	keyID string
	key   ed25519.PublicKey // that it was made with
	std   jwt.Claims
	own   names
}

// by reports whether the key has made the signature.
func (p *proof) by(key ed25519.PublicKey) bool { return bytes.Equal(p.key, key) }

// proofs remembers tokens whose signatures are valid: who sends one sends it again with
// each request, and to check a signature takes longer than most of what is asked. All
// else about a token is checked each time.
type proofs struct {
	mu            sync.Mutex
	recent, older map[[sha256.Size]byte]*proof
}

// of returns the proof of a token, nil if it is not known.
func (p *proofs) of(token [sha256.Size]byte) *proof {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.recent[token]
	if known == nil {
		if known = p.older[token]; known != nil {
			p.keep(token, known)
		}
	}
	return known
}

func (p *proofs) add(token [sha256.Size]byte, proven *proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(token, proven)
}

func (p *proofs) keep(token [sha256.Size]byte, proven *proof) {
	if len(p.recent) >= maxProofs || p.recent == nil {
		p.recent, p.older = make(map[[sha256.Size]byte]*proof), p.recent
	}
	p.recent[token] = proven
}
