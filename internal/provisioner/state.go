package provisioner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"coder/client"
	"coder/internal/atomicfile"
	"coder/internal/terraform"
)

// A growing state is looked at this often, and goes up at most once a second.
const (
	statePoll     = 200 * time.Millisecond
	stateInterval = time.Second
)

// lostNumbers is how far upload numbers jump when the host has been down,
// because the record of the newest ones may have been lost with it.
const lostNumbers = 1000

// stateKeeper brings an attempt's state to the server while the engine works
// and after.
type stateKeeper struct {
	attempt *client.Attempt
	folder  *folder
	logger  *slog.Logger
	// stored, when set, is told of each state that the server has taken.
	stored func(*terraform.State)
	// short, when set, makes room after a write that failed for want of it,
	// and tells whether to write again.
	short func(error) bool
	// lineage that a state must have; empty until the first one is seen.
	lineage string
	sent    upload
	seen    fs.FileInfo
	// newest is the last whole state that was read while the engine worked:
	// all that is left of it when the folder is gone. unrecorded: uploads are
	// numbered without a record there.
	newest     []byte
	unrecorded bool
}

// upload is the newest state that was sent, or is being sent.
type upload struct {
	N      int64  `json:"n"`
	SHA256 string `json:"sha256"`
	// Stored: the server acknowledged it.
	Stored bool   `json:"stored"`
	Host   string `json:"host"`
}

func newStateKeeper(attempt *client.Attempt, f *folder, job client.AcquiredJob, logger *slog.Logger) (*stateKeeper, error) {
	k := &stateKeeper{attempt: attempt, folder: f, logger: logger}
	if before, err := terraform.ParseState(job.State); err == nil {
		k.lineage = before.Lineage
	}
	content, err := os.ReadFile(f.path(uploadFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, nil
	case err != nil:
		return nil, fmt.Errorf("read the record of uploads: %w", err)
	}
	if json.Unmarshal(content, &k.sent) != nil || k.sent.Host != terraform.BootID() {
		k.sent = upload{N: k.sent.N + lostNumbers}
	}
	return k, nil
}

// watch uploads the state each time that the engine has changed it, until
// stop is closed. Errors wait for the next look; the final state is brought
// up by final.
func (k *stateKeeper) watch(ctx context.Context, stop <-chan struct{}) {
	ticker := time.NewTicker(statePoll)
	defer ticker.Stop()
	earliest := time.Time{}
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			content := k.changed()
			if content == nil {
				continue
			}
			if now.Before(earliest) {
				k.seen = nil
				continue
			}
			earliest = now.Add(stateInterval)
			k.send(ctx, content)
		}
	}
}

// send tries once; what failed is looked at again.
func (k *stateKeeper) send(ctx context.Context, content []byte) {
	k.newest = content
	if err := k.keep(content); err != nil {
		k.logger.Warn("keep a copy of the state", "error", err)
	}
	if err := k.upload(ctx, content); err != nil && ctx.Err() == nil {
		k.logger.Warn("upload the state: no success, trying again", "error", err)
		k.seen = nil
	}
}

// changed returns the engine's state if it is another than at the last look
// and whole: the engine rewrites the file in place, so one in about eight
// readings is cut off.
func (k *stateKeeper) changed() []byte {
	path := k.folder.path(filepath.Join(workDir, terraform.StateFile))
	info, err := os.Stat(path)
	if err != nil || (k.seen != nil && os.SameFile(info, k.seen) && info.ModTime().Equal(k.seen.ModTime()) && info.Size() == k.seen.Size()) {
		return nil
	}
	content := k.readWhole(path)
	if content == nil || hashOf(content) == k.sent.SHA256 {
		if content != nil {
			k.seen = info
		}
		return nil
	}
	k.seen = info
	return content
}

// readWhole returns the file's content when it reads the same twice, parses
// and belongs to this workspace.
func (k *stateKeeper) readWhole(path string) []byte {
	first, err := os.ReadFile(path)
	if err != nil || k.check(first) != nil {
		return nil
	}
	second, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(first, second) {
		return nil
	}
	return first
}

func (k *stateKeeper) check(content []byte) error {
	if len(content) == 0 {
		return errors.New("the state is empty")
	}
	state, err := terraform.ParseState(content)
	if err != nil {
		return err
	}
	if k.lineage != "" && state.Lineage != k.lineage {
		return fmt.Errorf("the state has the lineage %s, not %s", state.Lineage, k.lineage)
	}
	return nil
}

// keep holds a good copy back, for when the engine dies while it writes.
func (k *stateKeeper) keep(content []byte) error {
	return k.write(k.folder.path(goodState), content)
}

// write writes a second time where there was no room and some could be made.
func (k *stateKeeper) write(path string, content []byte) error {
	err := atomicfile.WriteSoon(path, content, 0o600)
	if err != nil && k.short != nil && k.short(err) {
		err = atomicfile.WriteSoon(path, content, 0o600)
	}
	return err
}

// upload gives the content a number of its own, records that, and sends it.
func (k *stateKeeper) upload(ctx context.Context, content []byte) error {
	hash := hashOf(content)
	if k.sent.SHA256 != hash {
		next := upload{N: k.sent.N + 1, SHA256: hash, Host: terraform.BootID()}
		record, err := json.Marshal(next)
		if err != nil {
			return err
		}
		if err := k.write(k.folder.path(uploadFile), record); err != nil {
			if !k.folder.gone() {
				return fmt.Errorf("record the upload: %w", err)
			}
			next.N += k.unrecordedJump()
		}
		k.sent = next
	}
	if k.sent.Stored {
		return nil
	}
	state, err := terraform.ParseState(content)
	if err != nil {
		return err
	}
	k.lineage = state.Lineage
	if err := k.attempt.PutState(ctx, k.ref(), content); err != nil {
		return err
	}
	k.sent.Stored = true
	if k.stored != nil {
		k.stored(state)
	}
	return nil
}

// unrecordedJump is how far the numbers go up when there is no record any more,
// once: whoever finds an old one must not use the same again.
func (k *stateKeeper) unrecordedJump() int64 {
	if k.unrecorded {
		return 0
	}
	k.unrecorded = true
	return lostNumbers
}

func (k *stateKeeper) ref() client.StateRef {
	return client.StateRef{N: k.sent.N, SHA256: k.sent.SHA256}
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// final picks the attempt's last state when the engine is dead: of the
// engine's file, the one it leaves when it cannot write that, the one that it
// prints when it can write neither, and the copy held back, the valid one of
// the expected lineage with the highest serial. With none of them, and
// only then, it is the state that the attempt began with; unless the folder is
// gone, when the server may have a newer one and is given none.
func (k *stateKeeper) final(job client.AcquiredJob) ([]byte, *terraform.State, error) {
	var best []byte
	newest := &terraform.State{Serial: -1}
	read := func(name string) []byte {
		content, _ := os.ReadFile(k.folder.path(name)) // what cannot be read is no candidate
		return content
	}
	candidates := [][]byte{
		read(filepath.Join(workDir, terraform.StateFile)), read(filepath.Join(workDir, "errored.tfstate")), dumpedState(k.folder.path(stepApply + ".out")), read(goodState), k.newest,
	}
	for _, content := range candidates {
		if k.check(content) != nil {
			continue
		}
		state, err := terraform.ParseState(content)
		if err == nil && state.Serial > newest.Serial {
			best, newest = content, state
		}
	}
	if best != nil {
		return best, newest, nil
	}
	before, err := terraform.ParseState(job.State)
	if k.folder.gone() {
		return nil, before, err
	}
	return job.State, before, err
}
