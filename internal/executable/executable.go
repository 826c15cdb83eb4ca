// Package executable writes programs that are run by the process that wrote
// them.
package executable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"coder/internal/atomicfile"
)

// Write makes path a program with the content given and permissions mode,
// whole and synced or, with an error, as it was. It can be run at once.
//
// A program that is started while another file is open for writing has that
// file open too until its own is loaded, and the system runs nothing that
// somebody may write ("text file busy"). So nothing is started until the
// content is written; syncing, which may take long, needs no right to write.
func Write(path string, content io.Reader, mode os.FileMode) error {
	temporary, err := write(path, content)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	file, err := os.Open(temporary)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return atomicfile.Move(temporary, path)
}

// write returns the name of a new file beside path.
func write(path string, content io.Reader) (string, error) {
	syscall.ForkLock.RLock() // held for writing by who starts a program
	defer syscall.ForkLock.RUnlock()
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, content)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
