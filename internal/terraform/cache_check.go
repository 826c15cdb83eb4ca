package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// checkInterval is how often daemons read through the whole cache.
const checkInterval = 24 * time.Hour

// Verify lists the cache after reading all of it. It changes nothing.
func (c *Cache) Verify(ctx context.Context) ([]Item, error) {
	items, err := c.Items()
	if err != nil {
		return nil, err
	}
	for i := range items {
		if err := c.verify(ctx, &items[i]); err != nil {
			return nil, fmt.Errorf("verify the cache: %w", err)
		}
	}
	return items, nil
}

// verify reads one item and sets its state.
func (c *Cache) verify(ctx context.Context, item *Item) error {
	if item.State != StateOK {
		return nil
	}
	err := c.read(ctx, *item)
	if damage := (*DamageError)(nil); errors.As(err, &damage) {
		item.State, item.Detail = StateDamaged, damage.Why
		if !c.stands(*item) {
			item.State, item.Detail = StateUnfinished, "it was removed meanwhile"
		}
		return nil
	}
	return err
}

func (c *Cache) read(ctx context.Context, item Item) error {
	switch item.Kind {
	case KindProvider:
		return c.checkPlugin(ctx, item.Name)
	case KindMirror:
		return checkMirror(ctx, c.mirrorDir(item.Name))
	}
	dir := c.preparedDir(item.Name)
	made := readManifest(filepath.Join(dir, manifestFile))
	if made == nil {
		return &DamageError{item.Name, "what it was made of cannot be read"}
	}
	return made.check(ctx, item.Name, dir)
}

// stands tells whether an item still counts as whole; somebody may have
// removed or healed it while it was read.
func (c *Cache) stands(item Item) bool {
	path := filepath.Join(c.preparedDir(item.Name), completeFile)
	switch item.Kind {
	case KindProvider:
		path = c.sumsPath(item.Name)
	case KindMirror:
		path = filepath.Join(c.mirrorDir(item.Name), completeFile)
	}
	_, err := os.Stat(path)
	return err == nil
}

// Heal takes a damaged item out of use; whoever needs it next makes it again.
// Jobs that run keep what they have, except that a damaged provider is gone at
// once: it is better missing than wrong.
func (c *Cache) Heal(ctx context.Context, item Item) error {
	switch item.Kind {
	case KindProvider:
		_, err := c.removePlugin(ctx, item, true)
		return err
	case KindMirror:
		err := os.Remove(filepath.Join(c.mirrorDir(item.Name), completeFile))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := c.retire(item.Name); err != nil {
		return err
	}
	_, err := c.remove(ctx, item)
	return err
}

// HealAll reads the whole cache and heals what is damaged, if nobody has done
// so within a day. It returns what it healed.
func (c *Cache) HealAll(ctx context.Context) ([]Item, error) {
	mark := filepath.Join(c.dir, "checked")
	if c.now().Sub(usedAt(mark)) < checkInterval {
		return nil, nil
	}
	lock, err := tryLock(mark + lockSuffix)
	if err != nil || lock == nil {
		return nil, err
	}
	defer lock.Close()
	items, err := c.Verify(ctx)
	if err != nil {
		return nil, err
	}
	healed, err := c.healDamaged(ctx, items)
	if err != nil {
		return healed, err
	}
	now := c.now()
	return healed, errors.Join(os.WriteFile(mark, nil, 0o600), os.Chtimes(mark, now, now))
}

func (c *Cache) healDamaged(ctx context.Context, items []Item) ([]Item, error) {
	healed := []Item{}
	for _, item := range items {
		if item.State != StateDamaged {
			continue
		}
		if err := c.Heal(ctx, item); err != nil {
			return healed, fmt.Errorf("heal the cache: %w", err)
		}
		healed = append(healed, item)
	}
	return healed, nil
}

// HealUsed reads what a job has used, whose folder this is, and heals what is
// damaged: a job that failed may have failed for that. It returns what it healed.
func (c *Cache) HealUsed(ctx context.Context, folder string) ([]Item, error) {
	u, err := c.usedBy(folder)
	if err != nil {
		return nil, nil //nolint:nilerr // it never had anything of the cache
	}
	items := []Item{{Kind: KindDirectory, Name: u.Prepared}, {Kind: KindMirror, Name: u.Mirror}}
	if made := readManifest(filepath.Join(c.preparedDir(u.Prepared), manifestFile)); made != nil {
		for _, target := range made.Links {
			if name := c.pluginOf(target); name != "" {
				items = append(items, Item{Kind: KindProvider, Name: name})
			}
		}
	}
	for i := range items {
		if !c.stands(items[i]) {
			continue // never finished, or healed by another job
		}
		items[i].State = StateOK
		if err := c.verify(ctx, &items[i]); err != nil {
			return nil, fmt.Errorf("read what the job used of the cache: %w", err)
		}
	}
	return c.healDamaged(ctx, items)
}

// Title is how an item is spoken of in sentences.
func (i Item) Title() string {
	switch i.Kind {
	case KindProvider:
		return titleOfPlugin(i.Name)
	case KindMirror:
		return "the embedded provider"
	}
	return "the initialized directory of this template version"
}
