package provisioner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"coder/client"
	"coder/internal/atomicfile"
	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// endedLife is how long the folder of an ended attempt is kept.
const endedLife = 7 * 24 * time.Hour

// Files of an attempt's folder that the daemon owns; those of the supervisor
// stand in its package.
const (
	jobFile       = "job.json"
	ownerFile     = "owner.lock"
	journalFile   = "log.jsonl"
	uploadFile    = "upload.json"
	goodState     = "state.good"
	finalState    = "state.final"
	settledFile   = "settled.json"
	variablesFile = "variables.tfvars.json"
	workDir       = "work"
	voucherFile   = "voucher"
)

// hostIDFile names the spool.
const hostIDFile = "host_id"

// spool is the daemon's durable directory.
type spool struct {
	dir    string
	hostID string
}

func openSpool(dir string) (*spool, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	for _, name := range []string{"attempts", "ended"} {
		if err := os.MkdirAll(filepath.Join(abs, name), 0o700); err != nil {
			return nil, fmt.Errorf("open the spool: %w", err)
		}
	}
	s := &spool{dir: abs}
	if err := s.takeHostID(); err != nil {
		return nil, fmt.Errorf("open the spool: %w", err)
	}
	return s, nil
}

// hostIDWait is how long a daemon waits for the one that is naming the spool.
const hostIDWait = 30 * time.Second

// takeHostID names the spool: a daemon with the same id finds the same folders.
// Of those that open a new one together, one makes the id and the others wait.
func (s *spool) takeHostID() error {
	for begun := time.Now(); time.Since(begun) < hostIDWait; time.Sleep(5 * time.Millisecond) {
		lock, err := supervisor.FileLock(filepath.Join(s.dir, "host.lock"))
		if err != nil {
			return err
		}
		s.hostID = s.readHostID()
		if s.hostID == "" && lock != nil {
			s.hostID = uuid.NewString()
			err = atomicfile.Write(filepath.Join(s.dir, hostIDFile), []byte(s.hostID), 0o600)
		}
		if lock != nil {
			err = errors.Join(err, lock.Close())
		}
		if err != nil || s.hostID != "" {
			return err
		}
	}
	return fmt.Errorf("nobody has named it in %s", hostIDWait)
}

// readHostID is empty where there is none.
func (s *spool) readHostID() string {
	content, err := os.ReadFile(filepath.Join(s.dir, hostIDFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// gone tells that the directory can be read no more, or is another one, such as
// a new disk in the place of one that is lost.
func (s *spool) gone() bool { return s.readHostID() != s.hostID }

// folders of all attempts that the spool holds.
func (s *spool) folders() ([]*folder, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "attempts"))
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	folders := []*folder{}
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, &folder{dir: filepath.Join(s.dir, "attempts", entry.Name())})
		}
	}
	return folders, nil
}

// folder is the spool's record of one attempt. Who holds owner is the daemon
// that reports for it.
type folder struct {
	dir   string
	owner *os.File
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// own makes this daemon the one that reports for the attempt; false when
// another does.
func (f *folder) own() (bool, error) {
	lock, err := supervisor.FileLock(f.path(ownerFile))
	if err != nil {
		return false, err
	}
	f.owner = lock
	return lock != nil, nil
}

func (f *folder) disown() {
	if f.owner != nil {
		_ = f.owner.Close()
		f.owner = nil
	}
}

// add makes the folder of an attempt. The record may not be durable before
// sync has returned.
func (s *spool) add(job client.AcquiredJob) (*folder, error) {
	f := &folder{dir: filepath.Join(s.dir, "attempts", job.AttemptID.String())}
	if err := os.Mkdir(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("record the job: %w", err)
	}
	if owned, err := f.own(); err != nil || !owned {
		return nil, fmt.Errorf("record the job: own its folder: %w", err)
	}
	content, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("record the job: %w", err)
	}
	if err := os.WriteFile(f.path(jobFile), content, 0o600); err != nil {
		return nil, fmt.Errorf("record the job: %w", err)
	}
	return f, nil
}

// sync makes the record durable. The three go to the disk together, for the
// price of about one.
func (f *folder) sync() error {
	group := &errgroup.Group{}
	for _, path := range []string{f.path(jobFile), f.dir, filepath.Dir(f.dir)} {
		group.Go(func() error { return atomicfile.SyncFile(path) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("record the job durably: %w", err)
	}
	return nil
}

// job reads the record back; one that was cut off never was confirmed.
func (f *folder) job() (client.AcquiredJob, error) {
	job := client.AcquiredJob{}
	content, err := os.ReadFile(f.path(jobFile))
	if err != nil {
		return job, err
	}
	return job, json.Unmarshal(content, &job)
}

// gone tells that the folder of an attempt, which has its job at least, can be
// read no more: its disk is away, or somebody has removed it.
func (f *folder) gone() bool { return !f.has(jobFile) }

// recordTime is how long a daemon may take from making a folder to its record.
const recordTime = time.Minute

// isBeingMade tells of a folder that a daemon has made just now, and may not
// own yet: nobody else may take it for one that was cut off.
func (f *folder) isBeingMade(now time.Time) bool {
	info, err := os.Stat(f.dir)
	return err == nil && !f.has(jobFile) && now.Sub(info.ModTime()).Abs() < recordTime
}

func (f *folder) has(name string) bool {
	_, err := os.Stat(f.path(name))
	return err == nil
}

// keepFinal keeps the attempt's last state, which is not always in the file
// that the engine writes it to.
func (f *folder) keepFinal(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	path := f.path(filepath.Join(workDir, terraform.StateFile))
	if content, err := os.ReadFile(path); err == nil && bytes.Equal(content, state) {
		return nil // putAway moves it
	}
	if err := atomicfile.WriteSoon(f.path(finalState), state, 0o600); err != nil {
		return err
	}
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

// settle records that the server has everything. The folder is kept for a
// while among the ended ones, with the last state, the log and what names the
// job, but without its secrets, the engine's directory, environment and own words.
func (s *spool) settle(f *folder, settled client.SettledJob) error {
	content, err := json.Marshal(settled)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteSoon(f.path(settledFile), content, 0o600); err != nil {
		return err
	}
	return s.putAway(f)
}

func (s *spool) putAway(f *folder) error {
	err := os.Rename(f.path(filepath.Join(workDir, terraform.StateFile)), f.path(finalState))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	said, _ := filepath.Glob(f.path("*.out")) // the pattern is a good one
	failed, _ := filepath.Glob(f.path("*.err"))
	for _, path := range append(append(said, failed...), f.path(workDir), f.path(supervisor.RunFile), f.path(variablesFile), f.path(supervisor.ReserveFile)) {
		err = errors.Join(err, os.RemoveAll(path))
	}
	err = errors.Join(err, f.forgetSecrets())
	ended := filepath.Join(s.dir, "ended", filepath.Base(f.dir))
	if err := errors.Join(err, os.Rename(f.dir, ended)); err != nil {
		return err
	}
	f.dir = ended
	return nil
}

// forgetSecrets leaves of the job what an ended one is known by. The secret of
// the attempt stays: with it the state can be handed in once more.
func (f *folder) forgetSecrets() error {
	job, err := f.job()
	if err != nil {
		return os.RemoveAll(f.path(jobFile)) // cut off, or not there
	}
	job.Variables, job.ExternalAuth, job.State = nil, nil, nil
	job.Metadata.OwnerSSHPrivateKey, job.Metadata.OwnerSessionToken, job.Metadata.OwnerOIDCAccessToken = "", "", ""
	content, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return atomicfile.WriteSoon(f.path(jobFile), content, 0o600)
}

func (f *folder) remove() error {
	f.disown()
	return os.RemoveAll(f.dir)
}

// prune removes the folders of attempts that ended long ago.
func (s *spool) prune(now time.Time) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "ended"))
	if err != nil {
		return fmt.Errorf("prune the spool: %w", err)
	}
	for _, entry := range entries {
		f := &folder{dir: filepath.Join(s.dir, "ended", entry.Name())}
		info, err := os.Stat(f.path(settledFile))
		if err != nil || now.Sub(info.ModTime()) < endedLife {
			continue
		}
		free, err := supervisor.Free(f.dir)
		if err == nil && free {
			err = f.remove()
		}
		if err != nil {
			return fmt.Errorf("prune the spool: %w", err)
		}
	}
	return nil
}
