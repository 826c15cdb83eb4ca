package terraform_test

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/client"
	"coder/internal/coderprovider"
	"coder/internal/terraform"
)

// packedTemplate needs a provider that is packed, which the engine unpacks
// into the plugin cache; the embedded one is only linked to.
const packedTemplate = `
terraform {
  required_providers {
    coder = { source = "example.test/acme/coder" }
  }
}
data "coder_workspace" "me" {}
`

// withPackedProvider gives a workshop's engine a mirror with one packed
// provider, a script that becomes this test binary.
func withPackedProvider(t *testing.T) func(*terraform.WorkshopOptions) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), coderprovider.FileName)
	require.NoError(t, os.Symlink(self, program))
	mirror := t.TempDir()
	dir := filepath.Join(mirror, "example.test", "acme", "coder")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	out, err := os.Create(filepath.Join(dir, fmt.Sprintf("terraform-provider-coder_1.0.0_%s_%s.zip", runtime.GOOS, runtime.GOARCH)))
	require.NoError(t, err)
	defer out.Close()
	packed := zip.NewWriter(out)
	header := &zip.FileHeader{Name: "terraform-provider-coder_v1.0.0"}
	header.SetMode(0o755)
	script, err := packed.CreateHeader(header)
	require.NoError(t, err)
	_, err = fmt.Fprintf(script, "#!/bin/sh\n# a comment\nexec '%s' \"$@\"\n", program)
	require.NoError(t, err)
	require.NoError(t, packed.Close())
	config := filepath.Join(t.TempDir(), "rc")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o600))
	return func(o *terraform.WorkshopOptions) { o.Operator.Files = []string{config} }
}

// flip changes one byte of the only file below dir whose path ends so.
func flip(t *testing.T, dir, suffix string) {
	t.Helper()
	found := ""
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.HasSuffix(path, suffix) {
			found = path
		}
		return err
	}))
	require.NotEmpty(t, found, "no %s below %s", suffix, dir)
	content, err := os.ReadFile(found)
	require.NoError(t, err)
	if at := strings.Index(string(content[:min(len(content), 100)]), "comment"); at >= 0 {
		content[at] ^= 1
	} else {
		content[len(content)/2] ^= 1
	}
	info, err := os.Stat(found)
	require.NoError(t, err)
	// Bits rot in place, and a program that runs cannot be written to.
	require.NoError(t, os.Remove(found))
	require.NoError(t, os.WriteFile(found, content, info.Mode()))
}

// states of the items of a kind.
func (b *bench) states(kind string) []string {
	b.t.Helper()
	items, err := b.shop.Cache().Verify(b.t.Context())
	require.NoError(b.t, err)
	states := []string{}
	for _, item := range items {
		if item.Kind == kind {
			states = append(states, item.State)
		}
	}
	return states
}

func (b *bench) healAll() []terraform.Item {
	b.t.Helper()
	healed, err := b.shop.Cache().HealAll(b.t.Context())
	require.NoError(b.t, err)
	return healed
}

func TestCacheIsWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t, withPackedProvider(t))
	b.clone(map[string]string{"main.tf": packedTemplate})
	b.clone(map[string]string{"main.tf": coderTemplate, "run.sh": "echo"})
	require.Equal(t, []string{"ok", "ok"}, b.states(terraform.KindDirectory))
	require.Equal(t, []string{"ok"}, b.states(terraform.KindProvider))
	require.Equal(t, []string{"ok"}, b.states(terraform.KindMirror))
	items, err := b.shop.Cache().Items()
	require.NoError(t, err)
	for _, item := range items {
		require.Positive(t, item.Bytes, item.Kind)
		require.WithinDuration(t, time.Now(), item.LastUsed, time.Hour, item.Kind)
	}
}

func TestFlippedByteInDirectory(t *testing.T) {
	t.Parallel()
	files := map[string]string{"main.tf": plainTemplate, "scripts/run.sh": "echo one and nothing else"}

	t.Run("of a file is found by who wants a clone, and made again", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"run.sh", "main.tf", "cli.tfrc", "override.tf"} {
			b := newBench(t)
			first, err := b.prepare(files)
			require.NoError(t, err)
			flip(t, filepath.Dir(first.Dir), name)
			require.Equal(t, []string{"damaged"}, b.states(terraform.KindDirectory))
			again, err := b.prepare(files)
			require.NoError(t, err)
			damage := (*terraform.DamageError)(nil)
			require.ErrorAs(t, again.Clone(filepath.Join(t.TempDir(), "work")), &damage, name)
			require.Contains(t, damage.Why, name)
			require.NoError(t, again.Retire())
			_, healed := b.clone(files)
			require.True(t, healed.Fresh)
			require.NotEqual(t, first.Dir, healed.Dir, "who has the damaged one is not disturbed")
			require.DirExists(t, first.Dir)
		}
	})

	t.Run("of what a directory says of itself makes it untrusted", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"complete", "manifest.json"} {
			b := newBench(t)
			first, err := b.prepare(files)
			require.NoError(t, err)
			flip(t, filepath.Dir(first.Dir), name)
			require.NoError(t, first.Release())
			b.healAll()
			_, healed := b.clone(files)
			require.True(t, healed.Fresh, name)
		}
	})

	t.Run("a file too many and one too few", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		first, err := b.prepare(files)
		require.NoError(t, err)
		extra := filepath.Join(first.Dir, "extra.tf")
		require.NoError(t, os.WriteFile(extra, []byte(plainTemplate), 0o600))
		require.ErrorContains(t, first.Clone(filepath.Join(t.TempDir(), "work")), "extra.tf is not of it")
		require.NoError(t, os.Remove(extra))
		require.NoError(t, os.Remove(filepath.Join(first.Dir, "scripts", "run.sh")))
		require.ErrorContains(t, first.Clone(filepath.Join(t.TempDir(), "work")), "damaged")
	})

	t.Run("the daily check heals it, once a day", func(t *testing.T) {
		t.Parallel()
		now := time.Now()
		b := newBench(t, func(o *terraform.WorkshopOptions) { o.Now = func() time.Time { return now } })
		first, err := b.prepare(files)
		require.NoError(t, err)
		require.Empty(t, b.healAll())
		flip(t, filepath.Dir(first.Dir), "run.sh")
		now = now.Add(time.Hour)
		require.Empty(t, b.healAll())
		now = now.Add(24 * time.Hour)
		healed := b.healAll()
		require.Len(t, healed, 1)
		require.Equal(t, "the bytes of work/scripts/run.sh have changed", healed[0].Detail)
		again, err := b.prepare(files)
		require.NoError(t, err)
		require.True(t, again.Fresh)
	})
}

func TestFlippedByteInProvider(t *testing.T) {
	t.Parallel()
	files := map[string]string{"main.tf": packedTemplate}
	b := newBench(t, withPackedProvider(t))
	b.folder = t.TempDir()
	dir, prepared := b.clone(files)
	plugins := filepath.Join(b.options.CacheDir, "plugins")
	flip(t, plugins, "coder_v1.0.0")
	require.Equal(t, []string{"damaged"}, b.states(terraform.KindProvider))

	healed, err := b.shop.Cache().HealUsed(t.Context(), b.folder)
	require.NoError(t, err)
	require.Len(t, healed, 1)
	require.Equal(t, terraform.KindProvider, healed[0].Kind)
	require.Contains(t, healed[0].Detail, "the bytes of terraform-provider-coder_v1.0.0 have changed")

	// The job holds its directory, and the next one gets another.
	again, fresh := b.clone(files)
	require.True(t, fresh.Fresh)
	require.NotEqual(t, prepared.Dir, fresh.Dir)
	require.NotEqual(t, dir, again)
	b.run(again, fresh, client.AcquiredJob{}, "start", b.options.Engine.ApplyArguments("", false))
	require.Equal(t, []string{"ok"}, b.states(terraform.KindProvider))
	healed, err = b.shop.Cache().HealUsed(t.Context(), b.folder)
	require.NoError(t, err)
	require.Empty(t, healed)
}

func TestFlippedByteInMirror(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.folder = t.TempDir()
	files := map[string]string{"main.tf": coderTemplate}
	_, prepared := b.clone(files)
	require.NotEmpty(t, prepared.Provider)
	mirror := filepath.Dir(prepared.Provider)

	for name, damage := range map[string]func(){
		"the program itself": func() { flip(t, filepath.Join(mirror, "registry.opentofu.org"), coderprovider.FileName) },
		"a link that leads elsewhere": func() {
			link := filepath.Join(mirror, "registry.terraform.io", "coder", "coder", coderprovider.Version, runtime.GOOS+"_"+runtime.GOARCH, coderprovider.FileName)
			require.NoError(t, os.Remove(link))
			require.NoError(t, os.WriteFile(link, []byte("#!/bin/sh\n"), 0o700))
		},
		"a link that is gone": func() {
			require.NoError(t, os.RemoveAll(filepath.Join(mirror, "registry.terraform.io")))
		},
	} {
		damage()
		require.Equal(t, []string{"damaged"}, b.states(terraform.KindMirror), name)
		healed, err := b.shop.Cache().HealUsed(t.Context(), b.folder)
		require.NoError(t, err)
		require.Len(t, healed, 1, name)
		require.Equal(t, terraform.KindMirror, healed[0].Kind)
		b.clone(files)
		require.Equal(t, []string{"ok"}, b.states(terraform.KindMirror), name)
	}
}

// Engines of the first of many daemons look through the mirror while the others
// start: they may see no file that comes and goes.
func TestMirrorOfDaemonsThatStartTogether(t *testing.T) {
	b := newBench(t)
	for range 5 {
		options := b.options
		options.CacheDir = t.TempDir()
		group := &errgroup.Group{}
		for range 8 {
			group.Go(func() error {
				if _, err := terraform.NewWorkshop(t.Context(), options); err != nil {
					return err
				}
				return filepath.WalkDir(filepath.Join(options.CacheDir, "mirror"), func(path string, _ fs.DirEntry, err error) error {
					if err == nil && strings.HasPrefix(filepath.Base(path), ".") {
						err = fmt.Errorf("%s comes and goes", path)
					}
					return err
				})
			})
		}
		require.NoError(t, group.Wait())
	}
}

// A killed init leaves part of a provider, which the engine would take for a
// whole one.
func TestHalfInstalledProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t, withPackedProvider(t))
	b.folder = t.TempDir()
	dir, prepared := b.clone(map[string]string{"main.tf": packedTemplate})
	b.run(dir, prepared, client.AcquiredJob{}, "start", b.options.Engine.ApplyArguments("", false))
	programs, err := filepath.Glob(filepath.Join(b.options.CacheDir, "plugins", "*", "example.test", "acme", "coder", "1.0.0", "*", "*"))
	require.NoError(t, err)
	require.Len(t, programs, 1)
	require.NoError(t, os.Truncate(programs[0], 10))
	require.NoError(t, os.RemoveAll(filepath.Join(b.options.CacheDir, "sums")))
	require.Equal(t, []string{"unfinished"}, b.states(terraform.KindProvider))
	dir, prepared = b.clone(map[string]string{"main.tf": packedTemplate + "\n"})
	b.run(dir, prepared, client.AcquiredJob{}, "start", b.options.Engine.ApplyArguments("", false))
}

func TestClean(t *testing.T) {
	t.Parallel()
	files := map[string]string{"main.tf": packedTemplate}

	t.Run("what a job uses stays, even when its daemon is dead", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, withPackedProvider(t))
		b.folder = filepath.Join(t.TempDir(), "attempt")
		require.NoError(t, os.Mkdir(b.folder, 0o700))
		dir, prepared := b.clone(files)
		// The locks of a killed daemon are gone; what it wrote down is not.
		notes := filepath.Join(b.options.CacheDir, "uses")
		kept := filepath.Join(t.TempDir(), "uses")
		require.NoError(t, os.CopyFS(kept, os.DirFS(notes)))
		require.NoError(t, prepared.Release())
		require.NoError(t, os.CopyFS(notes, os.DirFS(kept)))
		cleaned := b.clean(0)
		require.Empty(t, cleaned.Removed)
		require.Len(t, cleaned.InUse, 3)
		b.run(dir, prepared, client.AcquiredJob{}, "start", b.options.Engine.ApplyArguments("", false))

		require.NoError(t, os.RemoveAll(b.folder))
		require.Eventually(t, func() bool { return len(b.clean(0).InUse) == 1 }, 30*time.Second, 10*time.Millisecond, "all but the mirror go")
		require.Empty(t, b.states(terraform.KindProvider))
	})

	t.Run("what is released goes, and is made again", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, withPackedProvider(t))
		prepared, err := b.prepare(files)
		require.NoError(t, err)
		require.NoError(t, prepared.Release())
		require.Empty(t, b.clean(time.Hour).Removed)
		require.Eventually(t, func() bool { return len(b.clean(0).Removed) == 0 }, 30*time.Second, 10*time.Millisecond)
		items, err := b.shop.Cache().Items()
		require.NoError(t, err)
		require.Len(t, items, 1, "the mirror")
		again, err := b.prepare(files)
		require.NoError(t, err)
		require.True(t, again.Fresh)
	})
}

func (b *bench) clean(age time.Duration) terraform.Cleaned {
	b.t.Helper()
	items, err := b.shop.Cache().Unused(age)
	require.NoError(b.t, err)
	cleaned, err := b.shop.Cache().Clean(b.t.Context(), items)
	require.NoError(b.t, err)
	return cleaned
}
