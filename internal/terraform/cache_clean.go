package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Cleaned is what a Clean did.
type Cleaned struct {
	Removed []Item
	// InUse are those that a job or a daemon has, and that stayed.
	InUse []Item
}

// Unused lists what nobody has used for an age, and what was never finished
// and is older than a day; with the age 0 everything.
func (c *Cache) Unused(age time.Duration) ([]Item, error) {
	items, err := c.Items()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(items, func(item Item) bool {
		limit := age
		if item.State == StateUnfinished {
			limit = min(age, unfinishedLife) // it may be under way
		}
		return c.now().Sub(item.LastUsed) < limit
	}), nil
}

// Clean removes items, in turns with the daemons of the host. What a job uses
// stays.
func (c *Cache) Clean(ctx context.Context, items []Item) (Cleaned, error) {
	done := Cleaned{Removed: []Item{}, InUse: []Item{}}
	for _, item := range items {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		removed, err := c.remove(ctx, item)
		if err != nil {
			return done, fmt.Errorf("clean the cache: %w", err)
		}
		if removed {
			done.Removed = append(done.Removed, item)
		} else {
			done.InUse = append(done.InUse, item)
		}
	}
	return done, c.emptyTrash()
}

// Prune is the Clean that daemons do by themselves.
func (c *Cache) Prune(ctx context.Context) error {
	items, err := c.Unused(unusedLife)
	if err != nil {
		return err
	}
	_, err = c.Clean(ctx, items)
	return errors.Join(err, c.forgetKnown())
}

// remove is false for what somebody uses.
func (c *Cache) remove(ctx context.Context, item Item) (bool, error) {
	switch item.Kind {
	case KindProvider:
		return c.removePlugin(ctx, item, false)
	case KindMirror:
		return c.removeLocked(ctx, item, c.mirrorDir(item.Name))
	}
	dir := c.preparedDir(item.Name)
	removed, err := c.removeLocked(ctx, item, dir+makingSuffix, dir)
	if removed && err == nil {
		err = c.forgetGeneration(item.Name)
	}
	return removed, err
}

// removeLocked removes directories whose lock, which has the name of the last
// one, nobody holds, and the lock with them.
func (c *Cache) removeLocked(ctx context.Context, item Item, paths ...string) (bool, error) {
	lockPath := paths[len(paths)-1] + lockSuffix
	lock, err := tryLock(lockPath)
	if err != nil || lock == nil {
		return false, err
	}
	defer lock.Close()
	removed, err := c.takeAway(ctx, item, false, paths...)
	if removed && err == nil {
		err = os.Remove(lockPath)
	}
	return removed, err
}

// removePlugin removes a package, with force also from under the jobs that
// use it.
func (c *Cache) removePlugin(ctx context.Context, item Item, force bool) (bool, error) {
	lock, err := c.lockPlugins(ctx)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	// What has a record is trusted, so the record goes first.
	return c.takeAway(ctx, item, force, c.sumsPath(item.Name), c.pluginDir(item.Name))
}

// takeAway moves paths out of the way in turns with the jobs that begin, and
// then removes them.
func (c *Cache) takeAway(ctx context.Context, item Item, force bool, paths ...string) (bool, error) {
	lock, err := lockExclusive(ctx, filepath.Join(c.dir, "uses.lock"))
	if err != nil {
		return false, err
	}
	defer lock.Close()
	uses, err := c.uses()
	if err != nil || (!force && c.inUse(uses, item)) {
		return false, err
	}
	trash, err := c.aside()
	if err != nil {
		return false, err
	}
	for _, path := range paths {
		err := os.Rename(path, filepath.Join(trash, filepath.Base(path)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
	}
	if err := lock.Close(); err != nil {
		return false, err
	}
	return true, os.RemoveAll(trash)
}

// forgetGeneration forgets how often a directory was made anew, when none of
// them is there any more.
func (c *Cache) forgetGeneration(name string) error {
	key, _, _ := strings.Cut(name, "-")
	left, err := filepath.Glob(c.preparedDir(key + "*" + lockSuffix))
	if err != nil || len(left) > 1 || (len(left) == 1 && left[0] != c.preparedDir(name)+lockSuffix) {
		return err
	}
	err = os.Remove(c.preparedDir(key) + generationSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// emptyTrash removes what a cleaner that was killed left behind.
func (c *Cache) emptyTrash() error {
	trash := filepath.Join(c.dir, "trash")
	entries, err := os.ReadDir(trash)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		path := filepath.Join(trash, entry.Name())
		if c.now().Sub(usedAt(path)) > time.Hour {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}
