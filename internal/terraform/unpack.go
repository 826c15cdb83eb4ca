package terraform

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Limits on what a template's archive may unpack to. The server holds the
// same when it takes an upload; this is the fence behind it.
const (
	maxUnpackedFiles = 10_000
	maxUnpackedBytes = 200 << 20
)

// unpack writes the directories and regular files of a tar archive below dir,
// which exists. Links and devices are left out, a path that leaves dir is an
// error, and so is an archive over a limit: nothing is cut.
func unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack the template: %w", err)
	}
	defer root.Close()
	reader := tar.NewReader(archive)
	left := int64(maxUnpackedBytes)
	for count := 0; ; count++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack the template: %w", err)
		}
		if count == maxUnpackedFiles {
			return fmt.Errorf("unpack the template: more than %d files", maxUnpackedFiles)
		}
		if left -= header.Size; left < 0 {
			return fmt.Errorf("unpack the template: more than %d MiB", maxUnpackedBytes>>20)
		}
		if err := unpackEntry(root, header, reader); err != nil {
			return fmt.Errorf("unpack the template: %s: %w", header.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.Clean(filepath.FromSlash(header.Name))
	if !filepath.IsLocal(name) {
		return errors.New("the path leaves the archive")
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o700)
	case tar.TypeReg:
	default:
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	mode := os.FileMode(0o600) | header.FileInfo().Mode().Perm()&0o755
	file, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
