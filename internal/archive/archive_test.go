package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/archive"
)

// pack makes a tar archive of whatever headers; content is the header's Name.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = int64(len(h.Name))
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, (h.Name + strings.Repeat("\x00", int(h.Size)))[:h.Size])
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func file(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
func dir(name string) tar.Header  { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }

func small() archive.Limits {
	return archive.Limits{Entries: 10, Total: 1000, File: 600, Depth: 4}
}

func TestExtractWritesFilesAndDirectories(t *testing.T) {
	t.Parallel()
	script := file("./scripts/run.sh")
	script.Mode = 0o755
	none := file("zero-mode")
	none.Mode = 0
	global := tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "abc"}}
	into := filepath.Join(t.TempDir(), "new")
	require.NoError(t, archive.Extract(bytes.NewReader(pack(t, global, dir("./"), file("./main.tf"), script, none, dir("./empty/"), dir("scripts"))), into, small()))

	content, err := os.ReadFile(filepath.Join(into, "main.tf"))
	require.NoError(t, err)
	require.Equal(t, "./main.tf", string(content))
	for name, mode := range map[string]os.FileMode{"main.tf": 0o600, "zero-mode": 0o600, "scripts/run.sh": 0o700, "empty": 0o700, "scripts": 0o700} {
		info, err := os.Stat(filepath.Join(into, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}

func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	link := tar.Header{Typeflag: tar.TypeSymlink, Name: "main.tf", Linkname: "/etc/passwd"}
	hard := tar.Header{Typeflag: tar.TypeLink, Name: "main.tf", Linkname: "a.tf"}
	device := tar.Header{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}
	pipe := tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"}
	big := file("big")
	big.Size = 601
	half := func(name string) tar.Header { h := file(name); h.Size = 550; return h }
	var many []tar.Header
	for i := range 11 {
		many = append(many, file("f"+strconv.Itoa(i)))
	}
	for name, c := range map[string]struct {
		archive []byte
		rule    archive.Rule
		entry   string
	}{
		"an absolute path":                 {pack(t, file("/etc/cron.d/x")), archive.RuleAbsolute, "/etc/cron.d/x"},
		"an absolute path of Windows":      {pack(t, file(`C:\x`)), archive.RuleAbsolute, `C:\x`},
		"a parent":                         {pack(t, file("../x")), archive.RuleParent, "../x"},
		"a parent that would lead back in": {pack(t, file("a/../b")), archive.RuleParent, "a/../b"},
		"a parent of Windows":              {pack(t, file(`a\..\..\b`)), archive.RuleParent, `a\..\..\b`},
		"a symbolic link":                  {pack(t, link), archive.RuleKind, "main.tf"},
		"a hard link":                      {pack(t, file("a.tf"), hard), archive.RuleKind, "main.tf"},
		"a device":                         {pack(t, device), archive.RuleKind, "sda"},
		"a pipe":                           {pack(t, pipe), archive.RuleKind, "pipe"},
		"a control character":              {pack(t, file("a\x1b[2Jb")), archive.RuleName, "a\x1b[2Jb"},
		"a file as root":                   {pack(t, file(".")), archive.RuleName, "."},
		"an over-long name":                {pack(t, file(strings.Repeat("n", 300))), archive.RuleName, strings.Repeat("n", 200) + "…"},
		"a file twice":                     {pack(t, file("a"), file("./a")), archive.RuleTwice, "./a"},
		"a file as directory":              {pack(t, file("a"), file("a/b")), archive.RuleTwice, "a/b"},
		"a directory as file":              {pack(t, file("a/b"), file("a")), archive.RuleTwice, "a"},
		"a large file":                     {pack(t, big), archive.RuleFile, "big"},
		"large files together":             {pack(t, half("a"), half("b")), archive.RuleTotal, "b"},
		"a deep path":                      {pack(t, file("a/b/c/d/e")), archive.RuleDepth, "a/b/c/d/e"},
		"many entries":                     {pack(t, many...), archive.RuleEntries, ""},
		"another format":                   {[]byte(strings.Repeat("<html></html>\n", 100)), archive.RuleFormat, ""},
		"a cut archive":                    {pack(t, half("a"))[:700], archive.RuleFormat, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			into := t.TempDir()
			err := archive.Extract(bytes.NewReader(c.archive), into, small())
			var refused *archive.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.rule, refused.Rule)
			require.Equal(t, c.entry, refused.Entry)
			require.Contains(t, err.Error(), "refused: "+string(c.rule))
			left, err := os.ReadDir(into)
			require.NoError(t, err)
			require.Empty(t, left, "a refused archive leaves nothing behind")

			_, err = archive.List(bytes.NewReader(c.archive), small())
			require.ErrorAs(t, err, &refused, "the list refuses what the extraction refuses")
			require.Equal(t, c.rule, refused.Rule)
		})
	}
}

// endless is an archive of very many empty files, made as it is read.
type endless struct {
	block []byte
	read  int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.block)
	e.read += int64(n)
	return n, nil
}

func TestAMillionEntriesAreRefusedEarly(t *testing.T) {
	t.Parallel()
	block := pack(t, dir("d/"))[:512]
	source := &endless{block: block}
	err := archive.Extract(source, t.TempDir(), archive.TemplateLimits())
	var refused *archive.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, archive.RuleEntries, refused.Rule)
	require.Less(t, source.read, int64(10<<20))
}

func TestExtractLeavesAFullDirectoryAlone(t *testing.T) {
	t.Parallel()
	into := t.TempDir()
	mine := filepath.Join(into, "mine")
	require.NoError(t, os.WriteFile(mine, []byte("x"), 0o600))
	require.ErrorContains(t, archive.Extract(bytes.NewReader(pack(t, file("a"))), into, small()), "not empty")
	require.FileExists(t, mine)
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	into := t.TempDir()
	for _, name := range []string{"old.tf", "main.tf"} {
		require.NoError(t, os.WriteFile(filepath.Join(into, name), []byte("before"), 0o600))
	}
	require.Error(t, archive.Overwrite(bytes.NewReader(pack(t, file("main.tf"), file("../x"))), into, small()))
	content, err := os.ReadFile(filepath.Join(into, "main.tf"))
	require.NoError(t, err)
	require.Equal(t, "before", string(content), "a refused archive changes nothing")

	require.NoError(t, archive.Overwrite(bytes.NewReader(pack(t, file("main.tf"), file("sub/a.tf"))), into, small()))
	for name, want := range map[string]string{"main.tf": "main.tf", "sub/a.tf": "sub/a.tf", "old.tf": "before"} {
		content, err := os.ReadFile(filepath.Join(into, name))
		require.NoError(t, err)
		require.Equal(t, want, string(content))
	}
	entries, err := os.ReadDir(into)
	require.NoError(t, err)
	require.Len(t, entries, 3)
}

func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
}

func names(t *testing.T, data []byte) []string {
	t.Helper()
	entries, err := archive.List(bytes.NewReader(data), archive.TemplateLimits())
	require.NoError(t, err)
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return out
}

func TestTarTemplateFollowsTheRulesOfClients(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeTree(t, root, map[string]string{
		"main.tf": "x", ".terraform.lock.hcl": "l", "README.md": "r", "build/Dockerfile": "d", "modules/a/a.tf": "a", "other.tfvars": "v",
		".git/config": "g", ".terraform/modules/x": "m", ".env": "e", "terraform.tfstate": "s", "terraform.tfstate.backup": "s",
		"terraform.tfstate.d/x": "s", "terraform.tfvars": "v", "terraform.tfvars.json": "v", "a.auto.tfvars": "v", "b.auto.tfvars.json": "v",
	})
	require.NoError(t, os.Symlink("README.md", filepath.Join(root, "link.md")))
	first, err := archive.TarTemplate(root)
	require.NoError(t, err)
	require.Equal(t, []string{".terraform.lock.hcl", "README.md", "build", "build/Dockerfile", "link.md", "main.tf", "modules", "modules/a", "modules/a/a.tf", "other.tfvars"}, names(t, first))

	require.NoError(t, os.Chtimes(filepath.Join(root, "main.tf"), time.Unix(1, 0), time.Unix(2, 0)))
	require.NoError(t, os.Chmod(filepath.Join(root, "main.tf"), 0o600))
	again, err := archive.TarTemplate(root)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(first), sha256.Sum256(again), "the same content has the same bytes")
}

func TestTarTemplateRefuses(t *testing.T) {
	t.Parallel()
	refuse := func(t *testing.T, root string, rule archive.Rule) {
		_, err := archive.TarTemplate(root)
		var refused *archive.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, rule, refused.Rule, err)
	}
	t.Run("a directory without source", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		writeTree(t, root, map[string]string{"README.md": "", "sub/main.tf": "", ".hidden.tf": ""})
		refuse(t, root, archive.RuleSource)
	})
	t.Run("more than a mebibyte", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		writeTree(t, root, map[string]string{"main.tf": "", "blob": strings.Repeat("x", archive.MaxTemplate)})
		refuse(t, root, archive.RuleTotal)
	})
	t.Run("a link that leads out", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		writeTree(t, root, map[string]string{"main.tf": ""})
		require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(root, "users")))
		refuse(t, root, archive.RuleKind)
	})
	t.Run("a directory that is not there", func(t *testing.T) {
		t.Parallel()
		_, err := archive.TarTemplate(filepath.Join(t.TempDir(), "none"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestTarFSKeepsWhatIsExecutable(t *testing.T) {
	t.Parallel()
	data, err := archive.TarFS(fstest.MapFS{"run.sh": {Mode: 0o755, Data: []byte("x")}, "main.tf": {Mode: 0o444}}, archive.Options{})
	require.NoError(t, err)
	entries, err := archive.List(bytes.NewReader(data), small())
	require.NoError(t, err)
	require.Equal(t, []archive.Entry{{Name: "main.tf"}, {Name: "run.sh", Size: 1, Exec: true}}, entries)
}

func TestZipAndBack(t *testing.T) {
	t.Parallel()
	source, err := archive.TarFS(fstest.MapFS{
		"main.tf": {Mode: 0o644, Data: []byte("resource")}, "run.sh": {Mode: 0o755, Data: []byte("#!")}, "sub/ü.tf": {Mode: 0o644},
	}, archive.Options{})
	require.NoError(t, err)
	var zipped, back bytes.Buffer
	require.NoError(t, archive.TarToZip(&zipped, bytes.NewReader(source), small()))
	require.NoError(t, archive.ZipToTar(&back, bytes.NewReader(zipped.Bytes()), int64(zipped.Len()), small()))
	require.Equal(t, source, back.Bytes())
}

func packZip(t testing.TB, files map[string]string, change func(*zip.FileHeader)) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if change != nil {
			change(h)
		}
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = io.WriteString(f, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestZipToTarRefuses(t *testing.T) {
	t.Parallel()
	// A bomb that lies about its size: both records of it say 3 bytes.
	lying := packZip(t, map[string]string{"a": strings.Repeat("x", 70_001)}, nil)
	size := []byte{0x71, 0x11, 0x01, 0x00} // 70001
	require.Contains(t, string(lying), string(size))
	lying = bytes.ReplaceAll(lying, size, []byte{3, 0, 0, 0})
	many := map[string]string{}
	for i := range 5_000 {
		many["f"+strconv.Itoa(i)] = ""
	}
	for name, c := range map[string]struct {
		data []byte
		rule archive.Rule
	}{
		"a parent":               {packZip(t, map[string]string{"../x": ""}, nil), archive.RuleParent},
		"a symbolic link":        {packZip(t, map[string]string{"x": "/etc/passwd"}, func(h *zip.FileHeader) { h.SetMode(os.ModeSymlink | 0o777) }), archive.RuleKind},
		"a bomb":                 {packZip(t, map[string]string{"x": strings.Repeat("0", 1<<20)}, nil), archive.RuleFile},
		"a bomb that lies":       {lying, archive.RuleFormat},
		"too many entries":       {packZip(t, many, func(h *zip.FileHeader) { h.Method = zip.Store }), archive.RuleEntries},
		"another format":         {pack(t, file("a")), archive.RuleFormat},
		"nothing":                {nil, archive.RuleFormat},
		"an over-long file name": {packZip(t, map[string]string{strings.Repeat("x", 4000): ""}, nil), archive.RuleName},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := archive.ZipToTar(io.Discard, bytes.NewReader(c.data), int64(len(c.data)), small())
			var refused *archive.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.rule, refused.Rule, err)
		})
	}
}

func TestErrorsOfTheDiskAreNotTheArchives(t *testing.T) {
	t.Parallel()
	err := archive.TarToZip(brokenWriter{}, bytes.NewReader(pack(t, file("a"))), small())
	require.ErrorIs(t, err, errBroken)
	var refused *archive.Error
	require.False(t, errors.As(err, &refused))
}

type brokenWriter struct{}

var errBroken = errors.New("no space left on device")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func FuzzExtract(f *testing.F) {
	f.Add(pack(f, dir("a/"), file("a/b.tf"), file("c")))
	f.Add(pack(f, file("../x")))
	f.Add(pack(f, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".."}, file("l/x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		into := filepath.Join(outer, "in")
		err := archive.Extract(bytes.NewReader(data), into, small())
		beside, readErr := os.ReadDir(outer)
		require.NoError(t, readErr)
		require.Len(t, beside, 1, "nothing is written outside")
		if err != nil {
			left, readErr := os.ReadDir(into)
			require.NoError(t, readErr)
			require.Empty(t, left)
			return
		}
		_, err = archive.TarDir(into, archive.Options{})
		require.NoError(t, err, "only files and directories were written")
	})
}

func FuzzZipToTar(f *testing.F) {
	f.Add(packZip(f, map[string]string{"main.tf": "x", "a/b": "y"}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		if archive.ZipToTar(&out, bytes.NewReader(data), int64(len(data)), small()) != nil {
			return
		}
		_, err := archive.List(&out, small())
		require.NoError(t, err, "what became a tar archive is one that extracts")
	})
}
