package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"coder/internal/supervisor/child"
)

// Run, Step and Provider are what a supervisor is to do.
type (
	Run      = child.Run
	Step     = child.Step
	Provider = child.Provider
)

// ReasonFence is the reason of a supervisor that slept past its horizon.
const ReasonFence = child.ReasonFence

// ReasonFull is the reason of a supervisor whose disk was full.
const ReasonFull = child.ReasonFull

// ReasonGone is the reason of a supervisor whose spool is gone.
const ReasonGone = child.ReasonGone

// ReserveFile holds room in an attempt's folder for its states.
const ReserveFile = child.ReserveFile

// RunFile is there as soon as a supervisor may have been started.
const RunFile = child.RunFile

// Exit is what a supervisor has recorded so far.
type Exit struct {
	Steps []StepExit `json:"steps"`
	// Finished: nothing will be added.
	Finished bool `json:"finished"`
	// Reason says why the engine was interrupted or killed by the supervisor
	// itself; empty when nobody or the daemon did.
	Reason string `json:"reason"`
	// Stragglers is how many processes the engine left behind that had to be killed.
	Stragglers int `json:"stragglers"`
}

// StepExit is how one engine call ended.
type StepExit struct {
	Name      string    `json:"name"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	// Code is the exit status; -1 when a signal ended it or it did not start.
	Code int `json:"code"`
	// Signal that ended it, such as "killed".
	Signal string `json:"signal"`
	// Error says why it could not be started.
	Error string `json:"error"`
	// Interrupted and Killed by the supervisor.
	Interrupted bool `json:"interrupted"`
	Killed      bool `json:"killed"`
}

// Failed tells whether the step did not end well.
func (s StepExit) Failed() bool { return s.Code != 0 }

// ReadExit returns what the supervisor of a folder recorded; nil when it
// recorded nothing.
func ReadExit(folder string) (*Exit, error) {
	content, err := os.ReadFile(filepath.Join(folder, child.ExitFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	exit := &Exit{}
	if err == nil {
		err = json.Unmarshal(content, exit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the supervisor's record: %w", err)
	}
	return exit, nil
}
