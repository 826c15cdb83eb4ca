package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"coder/internal/atomicfile"
)

// How long what nobody used, and what was never finished, is kept.
const (
	unusedLife     = 30 * 24 * time.Hour
	unfinishedLife = 24 * time.Hour
)

// Kinds of what the cache holds.
const (
	// KindDirectory is an initialised directory of one template version.
	KindDirectory = "directory"
	// KindProvider is a provider package, shared by directories.
	KindProvider = "provider"
	// KindMirror is the embedded provider of one release of ours.
	KindMirror = "mirror"
)

// States of what the cache holds.
const (
	StateOK      = "ok"
	StateDamaged = "damaged"
	// StateUnfinished is being made, or is what a crash left. Nobody uses it.
	StateUnfinished = "unfinished"
)

// Cache is the directory that all daemons of a host share. Everything in it
// can be made again.
type Cache struct {
	dir string
	now func() time.Time
}

// OpenCache reads and writes nothing yet.
func OpenCache(dir string, now func() time.Time) *Cache { return &Cache{dir: dir, now: now} }

// Item is one thing in the cache.
type Item struct {
	Kind     string
	Name     string
	Bytes    int64
	LastUsed time.Time
	State    string
	// Detail says why the state is what it is; empty when it is ok.
	Detail string
}

const (
	makingSuffix     = ".making"
	lockSuffix       = ".lock"
	generationSuffix = ".generation"
)

func (c *Cache) preparedDir(name string) string { return filepath.Join(c.dir, "prepared", name) }

// current is the name of the directory for a key. A damaged one is replaced by
// one of another name, so that jobs in clones of it are not disturbed.
func (c *Cache) current(key string) string {
	content, err := os.ReadFile(c.preparedDir(key) + generationSuffix)
	generation := strings.TrimSpace(string(content))
	if err != nil || generation == "" {
		return key
	}
	return key + "-" + generation
}

// retire gives a directory up: the next Prepare makes another one.
func (c *Cache) retire(name string) error {
	key, generation, _ := strings.Cut(name, "-")
	if c.current(key) == name {
		n, _ := strconv.Atoi(generation)
		err := atomicfile.Replace(c.preparedDir(key)+generationSuffix, 0o600, false, func(out *os.File) error {
			_, err := fmt.Fprintln(out, n+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("give up a directory in the cache: %w", err)
		}
	}
	err := os.Remove(filepath.Join(c.preparedDir(name), completeFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("give up a directory in the cache: %w", err)
	}
	return nil
}

// ready returns the manifest of a directory that jobs can have clones of, and
// nothing when it is not whole or a provider that it links to is gone.
func (c *Cache) ready(dir string) *manifest {
	if !complete(dir) {
		return nil
	}
	made := readManifest(filepath.Join(dir, manifestFile))
	if made == nil || !c.touchPlugins(made) {
		return nil
	}
	return made
}

func (c *Cache) lockPlugins(ctx context.Context) (*os.File, error) {
	lock, err := lockExclusive(ctx, filepath.Join(c.dir, "plugins.lock"))
	if err != nil {
		return nil, fmt.Errorf("wait for the plugin cache: %w", err)
	}
	return lock, nil
}

// aside makes a new directory for what is about to be removed, or is not yet
// in its place.
func (c *Cache) aside() (string, error) {
	trash := filepath.Join(c.dir, "trash")
	if err := os.MkdirAll(trash, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(trash, "")
}

// Items lists the cache without reading through it: what can be told at once
// is told, and everything else is ok.
func (c *Cache) Items() ([]Item, error) {
	items := []Item{}
	for _, list := range []func() ([]Item, error){c.directoryItems, c.pluginItems, c.mirrorItems} {
		found, err := list()
		if err != nil {
			return nil, fmt.Errorf("list the cache: %w", err)
		}
		items = append(items, found...)
	}
	return items, nil
}

func (c *Cache) directoryItems() ([]Item, error) {
	locks, err := filepath.Glob(c.preparedDir("*" + lockSuffix))
	if err != nil {
		return nil, err
	}
	items := []Item{}
	for _, lock := range locks {
		dir := strings.TrimSuffix(lock, lockSuffix)
		item := Item{Kind: KindDirectory, Name: filepath.Base(dir), State: StateOK, LastUsed: usedAt(lock)}
		item.Bytes = sizeOf(dir) + sizeOf(dir+makingSuffix)
		if !complete(dir) {
			item.State, item.Detail = StateUnfinished, "it was never finished, or is being made"
			if key, _, _ := strings.Cut(item.Name, "-"); c.current(key) != item.Name {
				item.Detail = "it was given up, and goes when no job uses it"
			}
		}
		items = append(items, item)
	}
	return items, nil
}

func (c *Cache) pluginItems() ([]Item, error) {
	names, err := c.plugins("*")
	if err != nil {
		return nil, err
	}
	items := []Item{}
	for _, name := range names {
		item := Item{Kind: KindProvider, Name: name, State: StateOK, LastUsed: usedAt(c.sumsPath(name)), Bytes: sizeOf(c.pluginDir(name))}
		if item.LastUsed.IsZero() {
			item.State, item.Detail = StateUnfinished, "its installation was never finished, or is under way"
			item.LastUsed = usedAt(c.pluginDir(name))
		}
		items = append(items, item)
	}
	return items, nil
}

func (c *Cache) mirrorItems() ([]Item, error) {
	paths, err := filepath.Glob(c.mirrorDir("*"))
	if err != nil {
		return nil, err
	}
	items := []Item{}
	for _, dir := range paths {
		if strings.HasSuffix(dir, lockSuffix) {
			continue
		}
		item := Item{Kind: KindMirror, Name: filepath.Base(dir), State: StateOK, LastUsed: usedAt(filepath.Join(dir, completeFile)), Bytes: sizeOf(dir)}
		if item.LastUsed.IsZero() {
			item.State, item.Detail, item.LastUsed = StateUnfinished, "it was never finished, or is being made again", usedAt(dir)
		}
		items = append(items, item)
	}
	return items, nil
}

func usedAt(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// sizeOf counts each file once, however many names it has.
func sizeOf(dir string) int64 {
	var size int64
	seen := map[any]bool{}
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // what is gone has no size
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // what is gone has no size
		}
		if id := fileID(info); id != nil {
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		size += info.Size()
		return nil
	})
	return size
}
