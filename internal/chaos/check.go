package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

// state is what the checker reads of a Terraform state: its own reading, not
// that of the code it checks.
type state struct {
	Version   int    `json:"version"`
	Serial    int64  `json:"serial"`
	Lineage   string `json:"lineage"`
	Resources []struct {
		Mode      string `json:"mode"`
		Type      string `json:"type"`
		Instances []struct {
			Attributes struct {
				ID string `json:"id"`
			} `json:"attributes"`
		} `json:"instances"`
	} `json:"resources"`
}

func parseState(content []byte) (state, error) {
	s := state{}
	if len(content) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("the current state does not parse: %w", err)
	}
	if s.Version != 4 || s.Lineage == "" {
		return s, fmt.Errorf("the current state has the version %d and the lineage %q", s.Version, s.Lineage)
	}
	return s, nil
}

// ids of the objects that a state knows, deposed ones too.
func (s state) ids() map[string]bool {
	known := map[string]bool{}
	for _, r := range s.Resources {
		for _, i := range r.Instances {
			if r.Mode == "managed" && r.Type == "chaos_object" {
				known[i.Attributes.ID] = true
			}
		}
	}
	return known
}

// olderThan tells whether a state is one that came before another.
func (s state) olderThan(shown state) bool {
	return shown.Lineage != "" && (s.Lineage != shown.Lineage || s.Serial < shown.Serial)
}

// currentState is what the server gives people as the state of a workspace;
// that of a deleted one is gone with it.
func (w *workspace) currentState(ctx context.Context, build client.WorkspaceBuild) (content []byte, gone bool, err error) {
	err = w.call(ctx, "read the state", func(ctx context.Context) error {
		newest := build.ID
		if now, err := w.owner.Workspace(ctx, w.id); err == nil {
			newest = now.LatestBuild.ID
		}
		var err error
		content, err = w.owner.WorkspaceBuildState(ctx, newest)
		if gone = client.StatusCode(err) == http.StatusNotFound; gone {
			return nil
		}
		return err
	})
	return content, gone, err
}

// doubts are what a build names in doubt. Each exact address stands for one
// object; every stands for all instances of a resource, and for one object at
// each address, where nobody was told the plan.
type doubts struct {
	exact []string
	every []string
	found map[string]bool
}

// everyInstance ends the address of a resource whose instances nobody knows.
const everyInstance = "[*]"

// inDoubt asks what a build names in doubt.
func (w *workspace) inDoubt(ctx context.Context, build client.WorkspaceBuild) (doubts, error) {
	d := doubts{found: map[string]bool{}}
	var x client.ProvisionerJobExplanation
	err := w.call(ctx, "ask what is in doubt", func(ctx context.Context) (err error) {
		x, err = w.owner.ExplainProvisionerJob(ctx, w.org.Name, build.Job.ID)
		return err
	})
	if err != nil {
		return d, err
	}
	rows, err := w.logOf(ctx, build.ID)
	if err != nil {
		return d, err
	}
	planned := false // of the last attempt
	for _, row := range rows {
		planned = row.Stage != "Retry" && (planned || strings.HasPrefix(row.Output, "Plan: "))
	}
	for _, doubt := range x.InDoubt {
		resource, every := strings.CutSuffix(doubt.Address, everyInstance)
		switch {
		case doubt.Action != "create" && doubt.Action != "replace":
		case !every:
			d.exact = append(d.exact, doubt.Address)
		case !planned:
			d.every = append(d.every, resource)
		}
	}
	return d, nil
}

// take tells whether an object is named, and uses the name up.
func (d *doubts) take(address string) bool {
	if at := slices.Index(d.exact, address); at >= 0 {
		d.exact = slices.Delete(d.exact, at, at+1)
		return true
	}
	resource, _, _ := strings.Cut(address, "[")
	if !slices.Contains(d.every, resource) || d.found[address] {
		return false
	}
	d.found[address] = true
	return true
}

func (w *workspace) logOf(ctx context.Context, build uuid.UUID) (rows []client.ProvisionerJobLog, err error) {
	err = w.call(ctx, "read the log", func(ctx context.Context) error {
		var err error
		if rows, err = w.owner.WorkspaceBuildLogs(ctx, build, 0); client.IsNotFound(err) {
			return nil
		}
		return err
	})
	return rows, err
}

// namedLate finds the addresses that a host names in the log of a build that
// it had lost, beside those that the build itself names, and whether it says
// there that its engine ran past its fence.
func (w *workspace) namedLate(ctx context.Context, build uuid.UUID) (addresses []string, overtaken bool, err error) {
	rows, err := w.logOf(ctx, build)
	for _, row := range rows {
		overtaken = overtaken || row.Stage == "Reported late" && strings.Contains(row.Output, "ran past its fence")
		if address, _, found := strings.Cut(row.Output, " (create) "); found && row.Stage == "Reported late" {
			addresses = append(addresses, address)
		}
	}
	return addresses, overtaken, err
}

// check compares what exists with what is known, after a build has ended and
// its daemon has handed everything in.
func (w *workspace) check(ctx context.Context, r *result, build client.WorkspaceBuild) error {
	content, gone, err := w.currentState(ctx, build)
	if err != nil {
		return err
	}
	current, err := parseState(content)
	switch {
	case err != nil:
		r.problem(lostState, "%s", err)
	case !gone && current.olderThan(w.shown):
		r.problem(lostState, "the current state has the serial %d (lineage %s); the server had shown serial %d (lineage %s)", current.Serial, current.Lineage, w.shown.Serial, w.shown.Lineage)
	case !gone:
		w.shown = current
	}
	real, err := readObjects(w.folder)
	if err != nil {
		return err
	}
	late, overtaken, err := w.namedLate(ctx, build.ID)
	if err != nil {
		return err
	}
	r.told = r.told || overtaken
	named, err := w.inDoubt(ctx, build)
	if err != nil {
		return err
	}
	named.exact = append(named.exact, r.named...)
	for _, address := range late {
		if !slices.Contains(named.exact, address) {
			named.exact = append(named.exact, address)
		}
	}
	r.named = nil
	r.InDoubt += len(named.exact) + len(named.every)
	salvaged, err := w.salvage(ctx)
	if err != nil {
		return err
	}
	known := current.ids()
	for _, id := range slices.Sorted(maps.Keys(real)) {
		w.judge(r, id, real[id], known, salvaged, &named)
	}
	return w.checkLedger(r)
}

// judge finds one object in the state, in salvage or among what is in doubt.
func (w *workspace) judge(r *result, id, address string, known, salvaged map[string]bool, named *doubts) {
	switch {
	case known[id]:
		delete(w.excused, id)
	case w.excused[id]:
	case salvaged[id]:
		w.excused[id] = true
		r.Salvaged++
	case named.take(address):
		w.excused[id] = true
		r.Doubted++
	default:
		w.excused[id] = true // told once
		r.problem(unknownResource, "%s (%s) exists, and neither the state nor salvage has it, nor does the build name it in doubt", address, id)
	}
}

// checkLedger holds the attempts to have worked one after the other.
func (w *workspace) checkLedger(r *result) error {
	entries, err := readLedger(w.folder)
	if err != nil {
		return err
	}
	for _, overlap := range overlaps(entries) {
		if !slices.Contains(w.overlapped, overlap) {
			w.overlapped = append(w.overlapped, overlap)
			r.problem(doubleApply, "%s", overlap)
		}
	}
	return nil
}

// salvage is what the states hold that the server has kept of attempts that
// had lost their job. The server shows them to nobody: the database says
// which it has, and the daemon's spool what is in them.
func (w *workspace) salvage(ctx context.Context) (map[string]bool, error) {
	hashes, err := w.keptSalvage(ctx, w.id)
	if err != nil || len(hashes) == 0 {
		return nil, err
	}
	files := []string{}
	for _, pattern := range []string{"ended/*/state.final", "ended/*/state.good", "attempts/*/state.good", "attempts/*/work/terraform.tfstate"} {
		found, err := filepath.Glob(filepath.Join(w.dir, "*", "spool", pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	ids := map[string]bool{}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil || !slices.Contains(hashes, hashOf(content)) {
			continue
		}
		s, err := parseState(content)
		if err == nil {
			maps.Copy(ids, s.ids())
		}
	}
	return ids, nil
}

// watch looks at a build while it runs, until ctx ends: what state the server
// shows, whether two engines live at once, and when people are told that the
// daemon is lost.
func (w *workspace) watch(ctx context.Context, r *result, build uuid.UUID, struck <-chan time.Time) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	var lostAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case lostAt = <-struck:
		case <-ticker.C:
			w.look(ctx, r, build)
			if !lostAt.IsZero() && r.Noticed == 0 && w.toldLost(ctx, build) {
				r.Noticed = time.Since(lostAt)
			}
		}
	}
}

func (w *workspace) look(ctx context.Context, r *result, build uuid.UUID) {
	one, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if content, err := w.owner.WorkspaceBuildState(one, build); err == nil {
		shown, err := parseState(content)
		switch {
		case err != nil:
			r.problem(lostState, "while the build ran: %s", err)
		case shown.olderThan(w.shown):
			r.problem(lostState, "while the build ran, the server showed serial %d (lineage %s) after serial %d (lineage %s)", shown.Serial, shown.Lineage, w.shown.Serial, w.shown.Lineage)
		case shown.Lineage != "":
			w.shown = shown
		}
	}
	found, err := runningBelow(w.dir)
	if err != nil {
		return // the checks after the build meet the same error
	}
	attempts := map[string]bool{}
	for _, p := range found {
		if p.isEngine() {
			attempts[p.attempt()] = true
		}
	}
	if len(attempts) > 1 {
		r.problem(doubleApply, "engines of the attempts %v live at once", slices.Sorted(maps.Keys(attempts)))
	}
}

// toldLost tells whether a person who looks at the build's log reads that the
// daemon is silent.
func (w *workspace) toldLost(ctx context.Context, build uuid.UUID) bool {
	one, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rows, err := w.owner.WorkspaceBuildLogs(one, build, 0)
	return err == nil && slices.ContainsFunc(rows, func(row client.ProvisionerJobLog) bool {
		return row.Stage == "Waiting for the provisioner" || row.Stage == "Retry"
	})
}
