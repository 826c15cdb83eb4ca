// Package password hashes and checks the passwords of people, with argon2id
// in the PHC text format.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	passwordvalidator "github.com/wagslane/go-password-validator"
	"golang.org/x/crypto/argon2"
)

// Rules of a password that may be set.
const (
	MinEntropy = 52
	MaxLength  = 64
)

// Cost of a hash: memory in KiB, passes and threads. A hash names its own, so
// these may rise later.
const (
	memory  = 19 * 1024
	passes  = 2
	threads = 1

	saltLength = 16
	keyLength  = 32
)

// Ceilings for what a stored hash may ask for, so that a row changed by
// somebody cannot exhaust the server.
const (
	maxMemory = 256 * 1024
	maxPasses = 16
)

// Hasher hashes and verifies; it bounds how many do so at once, because each
// holds about 20 MB.
type Hasher struct {
	slots  chan struct{}
	memory uint32
}

// NewHasher allows as many at once as there are processors.
func NewHasher() *Hasher { return NewHasherOf(memory) }

// NewHasherOf is NewHasher with another cost for new hashes, in KiB.
func NewHasherOf(memory uint32) *Hasher {
	return &Hasher{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), memory: memory}
}

// Check returns an error that says what to do when a password is too long or
// too easy to guess.
func Check(plain string) error {
	if utf8.RuneCountInString(plain) > MaxLength {
		return fmt.Errorf("the password is longer than %d characters: use a shorter one", MaxLength)
	}
	if entropy := passwordvalidator.GetEntropy(plain); entropy < MinEntropy {
		return errors.New("the password is too easy to guess: make it longer, or mix lower and upper case letters, digits and signs")
	}
	return nil
}

// Hash makes the text that is stored. It fails only when ctx ends first.
func (h *Hasher) Hash(ctx context.Context, plain string) (string, error) {
	p := parameters{memory: h.memory, passes: passes, threads: threads, salt: make([]byte, saltLength)}
	if _, err := rand.Read(p.salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	key, err := h.derive(ctx, plain, p, keyLength)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.threads, encode(p.salt), encode(key)), nil
}

// Verify tells whether plain is the password behind a hash. An empty or
// unreadable hash matches nothing, and takes as long as a real one.
func (h *Hasher) Verify(ctx context.Context, hash, plain string) (bool, error) {
	p, want, known := parse(hash)
	if !known {
		p, want = parameters{memory: h.memory, passes: passes, threads: threads, salt: make([]byte, saltLength)}, make([]byte, keyLength)
	}
	key, err := h.derive(ctx, plain, p, uint32(len(want)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, want) == 1 && known, nil
}

type parameters struct {
	memory, passes uint32
	threads        uint8
	salt           []byte
}

func (h *Hasher) derive(ctx context.Context, plain string, p parameters, length uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(plain), p.salt, p.passes, p.memory, p.threads, length), nil
}

// parse reads the PHC text: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func parse(hash string) (parameters, []byte, bool) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return parameters{}, nil, false
	}
	var p parameters
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.threads); err != nil {
		return parameters{}, nil, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	sane := p.memory > 0 && p.memory <= maxMemory && p.passes > 0 && p.passes <= maxPasses && p.threads > 0
	if err != nil || keyErr != nil || !sane || len(key) < 16 || len(key) > 64 {
		return parameters{}, nil, false
	}
	p.salt = salt
	return p, key, true
}
