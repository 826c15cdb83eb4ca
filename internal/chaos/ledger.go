package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What a workspace's folder holds.
const (
	objectsDir = "objects"
	ledgerFile = "ledger"
)

// entry is a line of a workspace's ledger.
type entry struct{ attempt, verb, address, id string }

// readLedger returns what was done to a workspace's objects, in order.
func readLedger(folder string) ([]entry, error) {
	content, err := os.ReadFile(filepath.Join(folder, ledgerFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	entries := []entry{}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 4 {
			entries = append(entries, entry{fields[0], fields[1], fields[2], fields[3]})
		}
	}
	return entries, nil
}

// writes counts what really changed.
func writes(entries []entry) int {
	n := 0
	for _, e := range entries {
		if e.verb != verbBegin {
			n++
		}
	}
	return n
}

// overlaps lists the attempts that worked on a workspace after another one
// had begun to, and so beside it.
func overlaps(entries []entry) []string {
	found, ended := []string{}, map[string]bool{}
	last := ""
	for _, e := range entries {
		if e.attempt == last {
			continue
		}
		if ended[e.attempt] {
			found = append(found, fmt.Sprintf("attempt %s went on with %s after attempt %s had begun", e.attempt, e.address, last))
		}
		ended[last] = true
		last = e.attempt
	}
	return found
}

// readObjects returns what really exists: the address of each object by id.
func readObjects(folder string) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(folder, objectsDir, "*", "*"))
	if err != nil {
		return nil, err
	}
	objects := map[string]string{}
	for _, path := range paths {
		objects[filepath.Base(path)] = filepath.Base(filepath.Dir(path))
	}
	return objects, nil
}
