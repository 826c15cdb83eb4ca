package terraform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"coder/internal/atomicfile"
)

// Known is what a daemon must know of two files before it takes jobs: to run
// the one and to read the other takes longer than all else of its start.
type Known struct {
	Engine Engine `json:"engine"`
	// Provider is the SHA-256 of the binary that serves coder/coder.
	Provider string `json:"provider"`
}

var hexSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Recall returns what Remember was told of the engine that Find would return
// and of the provider at that path, where neither file has changed since. It
// is a hint: an engine may be a shim, which stays the same when the engine
// behind it does not. So who goes by it asks Find before a job rests on it.
func (c *Cache) Recall(opts FindOptions, provider string) (Known, bool) {
	known := Known{}
	path := opts.place()
	if path == "" || FileMark(path) == "" {
		return known, false
	}
	content, err := os.ReadFile(c.knownPath(path, provider))
	if err != nil || json.Unmarshal(content, &known) != nil || known.Engine.Path != path || !hexSum.MatchString(known.Provider) {
		return known, false
	}
	return known, known.Engine.check() == nil
}

// Remember keeps it for the next start, as long as both files stay as they are.
func (c *Cache) Remember(known Known, provider string) error {
	path := c.knownPath(known.Engine.Path, provider)
	content, err := json.Marshal(known)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = atomicfile.WriteSoon(path, content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep in the cache what is known of the engine: %w", err)
	}
	return nil
}

// knownPath has another name when one of the files is another.
func (c *Cache) knownPath(engine, provider string) string {
	sum := sha256.Sum256([]byte(engine + "\n" + FileMark(engine) + "\n" + FileMark(provider)))
	return filepath.Join(c.dir, "known", hex.EncodeToString(sum[:16])+".json")
}

// forgetKnown removes what no daemon has written anew for long.
func (c *Cache) forgetKnown() error {
	records, err := filepath.Glob(filepath.Join(c.dir, "known", "*"))
	for _, path := range records {
		if c.now().Sub(usedAt(path)) < unusedLife {
			continue
		}
		if gone := os.Remove(path); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// HashProvider reads the binary whose hash names its mirror. It ends with ctx.
func HashProvider(ctx context.Context, path string) (string, error) {
	hash, err := fileHash(ctx, path)
	if err != nil {
		return "", fmt.Errorf("read our own binary: %w", err)
	}
	return hash, nil
}
