package terraform

import (
	"os"
	"path/filepath"
	"strings"

	"coder/internal/atomicfile"
)

// Marks of a directory in the cache: it is whole, and it is on the disk.
const (
	completeFile = "complete"
	syncedFile   = "synced"
)

// complete tells whether a directory in the cache may be trusted. What was
// made since the host started is; what an earlier run of the host made is
// only when it was synced, because a power cut leaves names without content.
func complete(dir string) bool {
	content, err := os.ReadFile(filepath.Join(dir, completeFile))
	if err != nil {
		return false
	}
	made := strings.TrimSpace(string(content))
	if made != "" && made == BootID() {
		return true
	}
	_, err = os.Stat(filepath.Join(dir, syncedFile))
	return err == nil
}

// markComplete does not sync: that would hold up the first build of every
// version. Sync does, later.
func markComplete(dir string) error {
	return os.WriteFile(filepath.Join(dir, completeFile), []byte(BootID()+"\n"), 0o600)
}

// BootID names this run of the host; it changes when the host starts again.
func BootID() string {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(content))
}

// Sync makes an initialised directory last through a power cut. It may be
// called at any time after Prepare, and does its work once.
func (p *Prepared) Sync() error {
	dir := filepath.Dir(p.Dir)
	mark := filepath.Join(dir, syncedFile)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !(entry.IsDir() || entry.Type().IsRegular()) {
			return err
		}
		return atomicfile.SyncDir(path)
	})
	if err != nil {
		return err
	}
	return atomicfile.Write(mark, nil, 0o600)
}
