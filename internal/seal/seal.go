// Package seal encrypts secrets that are needed again: AES-256-GCM with a
// random nonce, bound to a purpose. What is only compared is hashed instead.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coder/internal/atomicfile"
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

// ID names a key without telling it: 12 hexadecimal digits.
func (k Key) ID() string {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("key id"))
	return hex.EncodeToString(mac.Sum(nil)[:6])
}

// ParseKey reads 64 hexadecimal digits.
func ParseKey(text string) (Key, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != len(Key{}) {
		return Key{}, errors.New("a deployment key is 64 hexadecimal digits; make one with: openssl rand -hex 32")
	}
	return Key(raw), nil
}

// ParseKeys reads one key or more, separated by commas or ends of lines; a
// line that begins with # is a remark. Each key comes once.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, part := range strings.Split(line, ",") {
			k, err := ParseKey(part)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no deployment key: it is 64 hexadecimal digits; make one with: openssl rand -hex 32")
	}
	return keys, nil
}

// Load reads the keys in a file.
func Load(path string) ([]Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the deployment key: %w; it must be readable to this user", err)
	}
	keys, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the deployment key in %s: %w", path, err)
	}
	return keys, nil
}

// LoadOrCreate reads the keys in a file, or makes one there, readable by its
// owner only, and durable before it is used.
func LoadOrCreate(path string) ([]Key, error) {
	keys, err := Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path)
	}
	return keys, err
}

// AddToFile makes a key and puts it before those of a file, durably and all
// at once: a process killed half-way leaves the file as it was.
func AddToFile(path string) (Key, error) {
	keys, err := Load(path)
	if err != nil {
		return Key{}, err
	}
	k, err := NewKey()
	if err != nil {
		return Key{}, err
	}
	part, err := writePart(path, append([]Key{k}, keys...))
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return Key{}, errors.Join(fmt.Errorf("add a deployment key to %s: %w; make its directory writable, and make room on that disk if it is full", path, err), removePart(part))
	}
	return k, syncDir(path)
}

// create writes the key beside its place and links it there whole: a process
// killed half-way leaves no key, and of two that start together one wins.
func create(path string) ([]Key, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	part, err := writePart(path, []Key{k})
	if err == nil {
		err = os.Link(part, path)
	}
	err = errors.Join(err, removePart(part))
	if errors.Is(err, fs.ErrExist) {
		return LoadOrCreate(path)
	}
	if err != nil {
		return nil, fmt.Errorf("write the deployment key: %w; make its directory writable, and make room on that disk if it is full", err)
	}
	return []Key{k}, syncDir(path)
}

// writePart leaves a durable file that only its owner may read.
func writePart(path string, keys []Key) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		_, writeErr := fmt.Fprintln(f, hex.EncodeToString(k[:]))
		err = errors.Join(err, writeErr)
	}
	return f.Name(), errors.Join(err, f.Sync(), f.Close())
}

func removePart(part string) error {
	if part == "" {
		return nil
	}
	if err := os.Remove(part); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(path string) error {
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("sync the deployment key: %w", err)
	}
	return nil
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
