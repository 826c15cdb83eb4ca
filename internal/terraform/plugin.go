package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The plugin cache holds one directory for each provider package, named
// MIRROR/HOST/NAMESPACE/TYPE/VERSION/PLATFORM. Beside it, under sums, lies the
// manifest of each that was installed whole. A package without one is what a
// killed init left, which the engine would take for a whole one.

func (c *Cache) pluginDir(name string) string {
	return filepath.Join(c.dir, "plugins", filepath.FromSlash(name))
}

func (c *Cache) sumsPath(name string) string {
	return filepath.Join(c.dir, "sums", filepath.FromSlash(name)+".json")
}

// plugins are the names of the packages in the plugin cache. Links are left
// out: they lead to a mirror, which is not the plugin cache's.
func (c *Cache) plugins(mirror string) ([]string, error) {
	root := filepath.Join(c.dir, "plugins")
	paths, err := filepath.Glob(filepath.Join(root, mirror, "*", "*", "*", "*", "*"))
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			continue
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		names = append(names, filepath.ToSlash(rel))
	}
	return names, nil
}

// pluginOf is the package that a link leads to, or nothing.
func (c *Cache) pluginOf(target string) string {
	rel, err := filepath.Rel(filepath.Join(c.dir, "plugins"), target)
	if err != nil || strings.HasPrefix(rel, "..") {
		return ""
	}
	if info, err := os.Lstat(target); err == nil && !info.IsDir() {
		return ""
	}
	return filepath.ToSlash(rel)
}

// dropUnfinished removes the packages that a killed init left. The lock on
// the plugin cache is held.
func (c *Cache) dropUnfinished(mirror string) error {
	names, err := c.plugins(mirror)
	for _, name := range names {
		if _, missing := os.Stat(c.sumsPath(name)); missing != nil {
			err = errors.Join(err, os.RemoveAll(c.pluginDir(name)))
		}
	}
	return err
}

// recordPlugins writes down what init has installed. The lock on the plugin
// cache is held.
func (c *Cache) recordPlugins(ctx context.Context, mirror string) error {
	names, err := c.plugins(mirror)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := c.sumsPath(name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		made, err := takeManifest(ctx, c.pluginDir(name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		if err == nil {
			err = made.write(path)
		}
		if err != nil {
			return fmt.Errorf("record the provider %s in the cache: %w", name, err)
		}
	}
	return nil
}

// touchPlugins marks the packages used that a directory links to; false when
// one of them is not there any more.
func (c *Cache) touchPlugins(made *manifest) bool {
	now := c.now()
	for _, target := range made.Links {
		if !filepath.IsAbs(target) {
			continue
		}
		if _, err := os.Stat(target); err != nil {
			return false
		}
		name := c.pluginOf(target)
		if name != "" && os.Chtimes(c.sumsPath(name), now, now) != nil {
			return false
		}
	}
	return true
}

// checkPlugin compares a package with what was installed.
func (c *Cache) checkPlugin(ctx context.Context, name string) error {
	made := readManifest(c.sumsPath(name))
	if made == nil {
		return &DamageError{titleOfPlugin(name), "what was installed is not recorded"}
	}
	return made.check(ctx, titleOfPlugin(name), c.pluginDir(name))
}

// titleOfPlugin is a package's name without the mirror's.
func titleOfPlugin(name string) string {
	_, rest, _ := strings.Cut(name, "/")
	return "the provider " + rest
}
