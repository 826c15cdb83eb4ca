package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/shell"
	"coder/store"
)

// This file alone decides why a job is where it is. Job responses say it as
// wait_reason, and the explanation of a job with all its grounds.

// decision is where a job is, why in a sentence, and what to do about it. A
// sentence stays the same for as long as what it says does: it has times, and
// no ages.
type decision struct{ code, reason, action string }

func (d decision) text() string { return strings.TrimSpace(d.reason + " " + d.action) }

// maxNamed is how many daemons a sentence names.
const maxNamed = 5

// judge is the first thing that keeps a daemon from a job.
func (q *queue) judge(job store.ProvisionerJob, d store.ListProvisionerDaemonsRow) string {
	switch {
	case !tagsMatch(job.Tags, d.Tags):
		return client.VerdictTagsDiffer
	case !slices.Contains(d.Provisioners, job.Provisioner):
		return client.VerdictEngineUnsupported
	case !q.online(d.LastSeenAt, d.StoppedAt), q.hasPassed(d.KeyExpiresAt):
		return client.VerdictOffline
	case !d.DrainedAt.IsZero():
		return client.VerdictDraining
	case d.Trouble != "":
		return client.VerdictTrouble
	case q.workOf(d.ID) != nil:
		return client.VerdictBusy
	}
	return client.VerdictWouldTake
}

// workOf is what a daemon does now; nil is nothing.
func (q *queue) workOf(daemon uuid.UUID) *store.ListAttemptsUnderWayRow {
	return q.under(func(w store.ListAttemptsUnderWayRow) bool { return w.DaemonID == daemon })
}

func (q *queue) under(is func(store.ListAttemptsUnderWayRow) bool) *store.ListAttemptsUnderWayRow {
	if i := slices.IndexFunc(q.work, is); i >= 0 {
		return &q.work[i]
	}
	return nil
}

// olderEngine is an attempt of the job's workspace whose engine may live. It
// keeps the job from being handed out: raiseFence.
func (q *queue) olderEngine(job store.ProvisionerJob) *store.ListAttemptsUnderWayRow {
	if job.WorkspaceID == nil {
		return nil
	}
	return q.under(func(w store.ListAttemptsUnderWayRow) bool {
		return w.WorkspaceID != nil && *w.WorkspaceID == *job.WorkspaceID && !w.EngineStartedAt.IsZero()
	})
}

func (q *queue) nameOf(daemon uuid.UUID) string {
	for _, d := range q.daemons {
		if d.ID == daemon {
			return d.Name
		}
	}
	return "a provisioner that is not known any more"
}

// waitReason is the decision as job responses have it: empty while a daemon
// that is free takes the job next.
func (q *queue) waitReason(job store.ProvisionerJob, position int) string {
	d := q.decide(job, position)
	if d.code == client.ExplainQueued && position <= 1 {
		return ""
	}
	return d.text()
}

// decide says where a job is. Of what keeps a pending one from starting it
// names what takes a person's hand before what time alone will solve. The
// position is the job's place.
func (q *queue) decide(job store.ProvisionerJob, position int) decision {
	switch {
	case !job.CompletedAt.IsZero():
		return endedDecision(job)
	case job.Status != client.JobPending:
		return q.runningDecision(job)
	case q.full():
		return decision{client.ExplainServerFull, "The server's disk is full: no job is handed out until there is room on it.", "Make room on the server, or ask its administrator to."}
	}
	if q.recovery != nil && job.WorkspaceID != nil {
		return q.recoveringDecision(*job.WorkspaceID)
	}
	for _, r := range q.strangers {
		if job.WorkspaceID != nil && r.WorkspaceID == *job.WorkspaceID {
			return decision{client.ExplainOlderEngine,
				fmt.Sprintf("The engine of an earlier job of this workspace, which the restored database does not know, may still be running on %s; nothing else touches the workspace meanwhile.", r.DaemonName),
				"Wait: it is being interrupted, and counts as dead some minutes after it was last heard of."}
		}
	}
	by := map[string][]store.ListProvisionerDaemonsRow{}
	for _, d := range q.daemons {
		verdict := q.judge(job, d)
		by[verdict] = append(by[verdict], d)
	}
	able := len(by[client.VerdictWouldTake]) + len(by[client.VerdictBusy])
	older := q.olderEngine(job)
	switch {
	case able > 0 && older != nil:
		return q.olderDecision(*older)
	case len(by[client.VerdictWouldTake]) > 0:
		return queuedDecision(position, by[client.VerdictWouldTake])
	case able > 0:
		return q.busyDecision(by[client.VerdictBusy])
	case len(by[client.VerdictTrouble]) > 0:
		return troubleDecision(job, by[client.VerdictTrouble])
	case len(by[client.VerdictDraining]) > 0:
		return q.drainingDecision(job, by[client.VerdictDraining])
	case len(by[client.VerdictOffline]) > 0:
		return q.offlineDecision(job, by[client.VerdictOffline])
	case len(by[client.VerdictEngineUnsupported]) > 0:
		return unsupportedDecision(job, by[client.VerdictEngineUnsupported])
	}
	return q.noneDecision(job, by[client.VerdictTagsDiffer])
}

func queuedDecision(position int, free []store.ListProvisionerDaemonsRow) decision {
	if position > 1 {
		return decision{code: client.ExplainQueued, reason: "Other jobs are in front of it."}
	}
	return decision{code: client.ExplainQueued, reason: "It is next, and free to take it: " + names(free) + "."}
}

func (q *queue) busyDecision(busy []store.ListProvisionerDaemonsRow) decision {
	reason := fmt.Sprintf("All %d provisioners that could take it are busy: %s.", len(busy), names(busy))
	if len(busy) == 1 {
		reason = fmt.Sprintf("The only provisioner that could take it is busy: %s.", names(busy))
	}
	return decision{client.ExplainBusy, reason, "Wait, or start another one with the same tags."}
}

func (q *queue) olderDecision(w store.ListAttemptsUnderWayRow) decision {
	out := decision{code: client.ExplainOlderEngine, action: "Wait until it has ended, or cancel that job."}
	out.reason = fmt.Sprintf("The engine of an earlier job of this workspace, %s, may still be running on %s; nothing else touches the workspace meanwhile.", w.JobID, q.nameOf(w.DaemonID))
	if horizon := horizonOf(w.Clocks); horizon > 0 {
		out.action += fmt.Sprintf(" It counts as dead %s after it was last heard of.", horizon)
	}
	return out
}

// recoveringDecision says what is awaited: builds of which nobody has told, and
// states that are still to come. Owners of workspaces read it, so that other
// workspaces are only counted.
func (q *queue) recoveringDecision(workspaceID uuid.UUID) decision {
	r := q.recovery
	awaited := []string{}
	if r.MissingCount > 0 {
		awaited = append(awaited, plural(r.MissingCount, "build")+" of which no provisioner has told yet")
	}
	states, ends := int64(0), int64(0)
	for _, report := range r.Reports {
		own := report.WorkspaceID == workspaceID
		switch {
		case report.State == client.LostAwaited && own:
			awaited = append(awaited, fmt.Sprintf("the state of %s/%s from %s", report.OwnerName, report.WorkspaceName, report.DaemonName))
		case report.State == client.LostRunning && own:
			awaited = append(awaited, fmt.Sprintf("the end of a build of %s/%s on %s", report.OwnerName, report.WorkspaceName, report.DaemonName))
		case report.State == client.LostAwaited:
			states++
		case report.State == client.LostRunning:
			ends++
		}
	}
	if more := len(awaited) - maxNamed; more > 0 {
		awaited = append(awaited[:maxNamed], fmt.Sprintf("%d more of this workspace", more))
	}
	if states > 0 {
		awaited = append(awaited, "the states of "+plural(states, "other build")+" from provisioners that have told of them")
	}
	if ends > 0 {
		awaited = append(awaited, "the end of "+plural(ends, "other build"))
	}
	return decision{client.ExplainRecovering,
		fmt.Sprintf("The server's database was restored from an older copy, which was noticed at %s. No build of the organization starts until it is known what was built since: %s.",
			r.StartedAt.UTC().Format(time.RFC3339), strings.Join(awaited, "; ")),
		fmt.Sprintf("Start all provisioners of the organization with the spools that they had. See what is missing with: coder provisioner recovery --org %s, and if it is lost, go on without it with: coder provisioner recovery end --org %[1]s", q.organization)}
}

func (q *queue) drainingDecision(job store.ProvisionerJob, draining []store.ListProvisionerDaemonsRow) decision {
	return decision{client.ExplainDraining,
		fmt.Sprintf("The job asks for a provisioner with %s. Those that are there and have these tags are draining, and take no new job: %s.", showTags(job.Tags), names(draining)),
		fmt.Sprintf("Resume one with: coder provisioner resume %s --org %s, or start another one.", draining[0].Name, q.organization)}
}

func troubleDecision(job store.ProvisionerJob, troubled []store.ListProvisionerDaemonsRow) decision {
	var lines []string
	for _, d := range troubled[:min(len(troubled), maxNamed)] {
		lines = append(lines, d.Name+" takes no job now: "+d.Trouble)
	}
	return decision{client.ExplainTrouble,
		fmt.Sprintf("The job asks for a provisioner with %s. Those that are there and have these tags are in trouble: %s.", showTags(job.Tags), strings.Join(lines, "; ")),
		"Put that right on their hosts, or start another one."}
}

func (q *queue) offlineDecision(job store.ProvisionerJob, offline []store.ListProvisionerDaemonsRow) decision {
	last := slices.MaxFunc(offline, func(x, y store.ListProvisionerDaemonsRow) int { return x.LastSeenAt.Compare(y.LastSeenAt.Time) })
	reason := fmt.Sprintf("The job asks for a provisioner with %s. %s has these tags and is offline: it was last seen at %s.", showTags(job.Tags), last.Name, showTime(last.LastSeenAt))
	if len(offline) > 1 {
		reason += fmt.Sprintf(" So are %s more.", plural(int64(len(offline)-1), "provisioner"))
	}
	if ended := last.KeyExpiresAt; q.hasPassed(ended) {
		reason += fmt.Sprintf(" Its key %s expired at %s.", last.KeyName, showTime(ended))
		return decision{client.ExplainOffline, reason, fmt.Sprintf("Give the key a new secret with: coder provisioner keys rotate %s --org %s --expires 90d, and start the provisioner with it.", shell.Word(last.KeyName), q.organization)}
	}
	return decision{client.ExplainOffline, reason, "Start it again."}
}

func unsupportedDecision(job store.ProvisionerJob, unable []store.ListProvisionerDaemonsRow) decision {
	return decision{client.ExplainEngineUnsupported,
		fmt.Sprintf("The job is of the type %q, which none of the provisioners with its tags runs: %s run %s.", job.Provisioner, names(unable), strings.Join(unable[0].Provisioners, ", ")),
		"Make the template version again for a type that they run."}
}

// noneDecision: no daemon, online or not, has the job's tags.
func (q *queue) noneDecision(job store.ProvisionerJob, known []store.ListProvisionerDaemonsRow) decision {
	asked := showTags(job.Tags)
	running := slices.DeleteFunc(slices.Clone(known), func(d store.ListProvisionerDaemonsRow) bool { return !q.online(d.LastSeenAt, d.StoppedAt) })
	start := "coder provisioner start --org " + q.organization + startTags(job.Tags)
	if len(running) == 0 {
		return decision{client.ExplainNoProvisioner,
			fmt.Sprintf("The job asks for a provisioner with %s, and the organization %s has none running.", asked, q.organization), "Start one with: " + start}
	}
	var lines []string
	for _, d := range running[:min(len(running), maxNamed)] {
		lines = append(lines, d.Name+" "+tagDifference(job.Tags, d.Tags))
	}
	return decision{client.ExplainTagsDiffer,
		fmt.Sprintf("The job asks for a provisioner with %s. None of the %s matches: %s.", asked, plural(int64(len(running)), "running provisioner"), strings.Join(lines, "; ")),
		"Start one that does, with: " + start + ", or ask for other tags."}
}

func (q *queue) runningDecision(job store.ProvisionerJob) decision {
	out := decision{code: client.ExplainRunning, reason: "It was handed out a moment ago."}
	w := q.under(func(w store.ListAttemptsUnderWayRow) bool { return w.JobID == job.ID })
	if w == nil {
		return out
	}
	name := q.nameOf(w.DaemonID)
	out.reason = fmt.Sprintf("Attempt %d was handed to %s at %s; its engine has not started yet.", w.Number, name, showTime(w.HandedAt))
	if !w.EngineStartedAt.IsZero() {
		out.reason = fmt.Sprintf("Attempt %d runs on %s; its engine started at %s.", w.Number, name, showTime(w.EngineStartedAt))
	}
	if !job.CanceledAt.IsZero() {
		out.reason += " A cancel was asked for at " + showTime(job.CanceledAt) + "."
		out.action = "Cancel it again to kill the engine; what it is creating then may be lost track of, and is named."
	}
	if !w.LostAt.IsZero() {
		out.reason += " The provisioner has not been heard of since before " + showTime(w.LostAt) + "."
		out.action = "Look after " + name + " and its host."
		if horizon := horizonOf(w.Clocks); horizon > 0 {
			out.action += fmt.Sprintf(" Unless it comes back, the job ends %s after it was last heard of.", horizon)
		}
	}
	return out
}

func endedDecision(job store.ProvisionerJob) decision {
	out := decision{code: client.ExplainEnded, reason: fmt.Sprintf("It ended at %s: %s.", showTime(job.CompletedAt), job.Status)}
	if job.Status != client.JobFailed {
		return out
	}
	if first, _, _ := strings.Cut(job.Error, "\n"); first != "" {
		out.reason = fmt.Sprintf("It failed at %s: %s", showTime(job.CompletedAt), first)
	}
	out.action = "Read its log, put right what it names, and ask again."
	doubt, err := doubtfulOf(job)
	switch {
	case err != nil || len(doubt) == 0:
	case slices.ContainsFunc(doubt, isGuessed):
		out.action = "When its provisioner comes back, it hands in what it made and the log says what is in doubt still. If it never will, look whether the resources in doubt exist, and remove them or put them into the state."
	default:
		out.action = "Look whether the resources in doubt exist; remove them, or put them into the state, before you build again."
	}
	return out
}

// doubtfulOf are the resources that an ended job may have left in no state.
func doubtfulOf(job store.ProvisionerJob) ([]client.DoubtfulResource, error) {
	doubt, err := decode[[]client.DoubtfulResource](job.InDoubt, "resources in doubt")
	for i := range doubt {
		doubt[i].Grounds = cmp.Or(doubt[i].Grounds, client.GroundsBegun)
	}
	return nonNil(doubt), err
}

// startTags are the flags with which a daemon would have a job's tags.
func startTags(tags map[string]string) string {
	var flags strings.Builder
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		if tag != client.TagOwner && (tag != client.TagScope || tags[tag] != scopeTagOrganization) {
			flags.WriteString(" --tag " + shell.Word(tag+"="+tags[tag]))
		}
	}
	return flags.String()
}

func names(daemons []store.ListProvisionerDaemonsRow) string {
	var out []string
	for _, d := range daemons[:min(len(daemons), maxNamed)] {
		out = append(out, d.Name)
	}
	text := strings.Join(out, ", ")
	if more := len(daemons) - len(out); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// horizonOf is how long a started engine may be silent; 0 is for ever.
func horizonOf(clocks string) time.Duration {
	var c client.JobClocks
	if err := json.Unmarshal([]byte(clocks), &c); err != nil {
		return 0 // written by this server; watchAttempt reports what is broken
	}
	return time.Duration(c.Horizon) * time.Millisecond
}
