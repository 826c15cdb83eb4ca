//go:build !unix

package store

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockDir holds a file open that a second server cannot create again.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "server.lock")
	_ = os.Remove(path) // fails while another process holds it open
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, dir, err)
	}
	return f, nil
}
