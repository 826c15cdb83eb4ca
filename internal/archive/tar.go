package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Options choose what goes into an archive.
type Options struct {
	// MaxBytes is the largest archive; 0 sets no limit.
	MaxBytes int64
	// Skip leaves a file out, or a directory with everything below. The path
	// is relative and has slashes.
	Skip func(name string, dir bool) bool
}

// TarTemplate archives a directory of template source as clients push it:
// without dot files (except .terraform.lock.hcl), Terraform states and
// variable files, at most MaxTemplate bytes, with at least one .tf or .tf.json
// at the root. The same content has the same bytes, whenever and wherever it
// is archived.
func TarTemplate(dir string) ([]byte, error) {
	if err := requireSource(os.DirFS(dir)); err != nil {
		return nil, err
	}
	return TarDir(dir, Options{MaxBytes: MaxTemplate, Skip: skipTemplate})
}

func requireSource(fsys fs.FS) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return fmt.Errorf("read template directory: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() && IsSource(e.Name()) && !skipTemplate(e.Name(), false) {
			return nil
		}
	}
	return &Error{Rule: RuleSource}
}

// IsSource tells whether Terraform reads a file of this name as configuration.
func IsSource(name string) bool {
	return strings.HasSuffix(name, ".tf") || strings.HasSuffix(name, ".tf.json")
}

func skipTemplate(name string, _ bool) bool {
	base := path.Base(name)
	if base == ".terraform.lock.hcl" {
		return false
	}
	return strings.HasPrefix(base, ".") || strings.Contains(base, ".tfstate") || IsVariablesFile(base)
}

// IsVariablesFile tells whether Terraform reads a file of this name for
// values of variables without being asked to.
func IsVariablesFile(base string) bool {
	return base == "terraform.tfvars" || base == "terraform.tfvars.json" ||
		strings.HasSuffix(base, ".auto.tfvars") || strings.HasSuffix(base, ".auto.tfvars.json")
}

// TarDir archives a directory. Symbolic links to files inside it are stored as
// the files they point at; links that lead elsewhere are refused.
func TarDir(dir string, options Options) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("archive directory: %w", err)
	}
	defer root.Close()
	return TarFS(root.FS(), options)
}

// TarFS archives a file system: sorted, with no times, owners or modes except
// whether a file is executable.
func TarFS(fsys fs.FS, options Options) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&limitedWriter{w: &out, left: options.MaxBytes, limited: options.MaxBytes > 0})
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "." {
			return nil
		}
		if options.Skip != nil && options.Skip(name, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return addFile(archive, fsys, name, d)
	})
	if err == nil {
		err = archive.Close()
	}
	if errors.Is(err, errFull) {
		return nil, &Error{Rule: RuleTotal, Detail: fmt.Sprintf("at most %d; leave out what Terraform does not need", options.MaxBytes)}
	}
	if err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func addFile(archive *tar.Writer, fsys fs.FS, name string, d fs.DirEntry) error {
	if d.IsDir() {
		return archive.WriteHeader(header(Entry{Name: name, Dir: true}))
	}
	info, err := fs.Stat(fsys, name) // follows a link, inside the root only
	if err != nil || !info.Mode().IsRegular() {
		return &Error{Entry: name, Rule: RuleKind, Err: err}
	}
	file, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("archive file: %w", err)
	}
	defer file.Close()
	entry := Entry{Name: name, Size: info.Size(), Exec: info.Mode()&0o100 != 0}
	if err := archive.WriteHeader(header(entry)); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

func header(e Entry) *tar.Header {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: e.Name, Size: e.Size, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if e.Exec {
		h.Mode = 0o755
	}
	if e.Dir {
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, e.Name+"/", 0o755
	}
	return h
}

var errFull = errors.New("archive is full")

type limitedWriter struct {
	w       io.Writer
	left    int64
	limited bool
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.limited && l.left < 0 {
		return 0, errFull
	}
	return l.w.Write(p)
}
