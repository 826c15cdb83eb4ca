// Package seal encrypts secrets that are needed again: AES-256-GCM with a
// random nonce, bound to a purpose. What is only compared is hashed instead.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// version is the first byte of everything sealed.
const version = 1

// ErrOpen: the text was changed, cut, sealed with another key or for another purpose.
var ErrOpen = errors.New("sealed data does not open with this key")

// Key is a 256-bit key.
type Key [32]byte

// NewKey makes a random key.
func NewKey() (Key, error) {
	var k Key
	if _, err := rand.Read(k[:]); err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	return k, nil
}

// ParseKey reads 64 hexadecimal digits.
func ParseKey(text string) (Key, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != len(Key{}) {
		return Key{}, errors.New("a deployment key is 64 hexadecimal digits; make one with: openssl rand -hex 32")
	}
	return Key(raw), nil
}

// LoadOrCreate reads the key in a file, or makes it there, readable by its
// owner only, and durable before it is used.
func LoadOrCreate(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path)
	}
	if err != nil {
		return Key{}, fmt.Errorf("read the deployment key: %w; it must be readable to this user", err)
	}
	k, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("read the deployment key in %s: %w", path, err)
	}
	return k, nil
}

// create writes the key beside its place and links it there whole: a process
// killed half-way leaves no key, and of two that start together one wins.
func create(path string) (Key, error) {
	k, err := NewKey()
	if err != nil {
		return Key{}, err
	}
	part, err := writePart(path, k)
	if err == nil {
		err = os.Link(part, path)
	}
	if part != "" {
		err = errors.Join(err, os.Remove(part))
	}
	if errors.Is(err, fs.ErrExist) {
		return LoadOrCreate(path)
	}
	if err != nil {
		return Key{}, fmt.Errorf("write the deployment key: %w; make its directory writable, and make room on that disk if it is full", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return Key{}, fmt.Errorf("sync the deployment key: %w", err)
	}
	defer dir.Close()
	return k, dir.Sync()
}

// writePart leaves a durable file that only its owner may read.
func writePart(path string, k Key) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(k[:]))
	return f.Name(), errors.Join(err, f.Sync(), f.Close())
}

// Seal encrypts plain for a purpose.
func (k Key) Seal(plain []byte, purpose string) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+aead.NonceSize(), 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = version
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return aead.Seal(out, out[1:], plain, []byte(purpose)), nil
}

// Open decrypts what Seal made for the same purpose. It fails with ErrOpen.
func (k Key) Open(sealed []byte, purpose string) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+aead.NonceSize() || sealed[0] != version {
		return nil, ErrOpen
	}
	nonce, text := sealed[1:1+aead.NonceSize()], sealed[1+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, text, []byte(purpose))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func (k Key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, fmt.Errorf("prepare the key: %w", err)
	}
	return cipher.NewGCM(block)
}
