package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// use is what a job has of the cache. It counts as long as the job's folder
// exists and not as long as a process lives: an engine outlives the daemon
// that started it, and with the daemon its locks are gone.
type use struct {
	Folder string `json:"folder"`
	// Prepared and Mirror are the names of the directories in use.
	Prepared string `json:"prepared"`
	Mirror   string `json:"mirror"`
}

func (c *Cache) usePath(folder string) string {
	return filepath.Join(c.dir, "uses", filepath.Base(folder)+".json")
}

// noteUse comes before the job looks whether what it uses is there; who
// removes looks for notes first, in turns with it. So either the note is seen,
// or the job sees that something is gone.
func (c *Cache) noteUse(ctx context.Context, u use) error {
	if u.Folder == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(c.dir, "uses"), 0o700); err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	lock, err := lockShared(ctx, filepath.Join(c.dir, "uses.lock"))
	if err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	defer lock.Close()
	content, err := json.Marshal(u)
	if err == nil {
		// One that is cut off is of a job that never began.
		err = os.WriteFile(c.usePath(u.Folder), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	return nil
}

func (c *Cache) endUse(folder string) error {
	if folder == "" {
		return nil
	}
	err := os.Remove(c.usePath(folder))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (c *Cache) usedBy(folder string) (use, error) {
	u := use{}
	content, err := os.ReadFile(c.usePath(folder))
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal(content, &u)
}

// uses are those that count. The notes of jobs that are over are removed. The
// lock on uses is held.
func (c *Cache) uses() ([]use, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, "uses"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := []use{}
	for _, entry := range entries {
		path := filepath.Join(c.dir, "uses", entry.Name())
		u, err := c.usedBy(strings.TrimSuffix(entry.Name(), ".json"))
		if err == nil {
			_, err = os.Stat(u.Folder)
		}
		if err == nil {
			found = append(found, u)
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return found, nil
}

// inUse tells what of an item some job uses. Of a directory that is being
// made nobody knows yet what it will link to: everything.
func (c *Cache) inUse(uses []use, item Item) bool {
	for _, u := range uses {
		switch item.Kind {
		case KindDirectory:
			if u.Prepared == item.Name {
				return true
			}
		case KindMirror:
			if u.Mirror == item.Name {
				return true
			}
		case KindProvider:
			made := readManifest(filepath.Join(c.preparedDir(u.Prepared), manifestFile))
			if made == nil || made.linksTo(c.pluginDir(item.Name)) {
				return true
			}
		}
	}
	return false
}

// linksTo tells whether a link leads into the directory at path.
func (m *manifest) linksTo(path string) bool {
	for _, target := range m.Links {
		if target == path {
			return true
		}
	}
	return false
}
