package provisioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"coder/client"
	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// judge reads what a dead engine left, and says how the attempt ended.
func (a *attempt) judge() verdict {
	exit, err := supervisor.ReadExit(a.folder.dir)
	if err != nil || exit == nil {
		a.logger.Warn("the supervisor left no record of the engine's end", "error", err)
		exit = &supervisor.Exit{}
	}
	a.noteExit(*exit)
	a.daemon.opts.Metrics.engineRan(a.job.Type, exit.Steps)
	ended := a.endOf(*exit)
	if ended == nil && a.folder.gone() {
		// It may have made more than the states tell that are left.
		ended = &badEnd{message: errGone.Error(), retryable: true}
	}
	if ended != nil && a.endedFor() == nil {
		// Nobody asked for this end.
		if found := a.healCache(); found != "" {
			ended.message, ended.retryable = ended.message+"\n"+found, true
		}
	}
	if a.job.Type == client.JobWorkspaceBuild {
		return a.judgeBuild(ended)
	}
	if ended != nil {
		return a.failed(client.FailJobRequest{Error: ended.message, Canceled: ended.canceled, Retryable: ended.retryable, Import: a.facts})
	}
	if a.job.Type == client.JobTemplateVersionDryRun {
		return a.judgeDryRun()
	}
	return a.judgeImport()
}

// badEnd is why an engine did not end well.
type badEnd struct {
	message   string
	code      string
	canceled  bool
	retryable bool
}

// endOf reads the supervisor's record; nil means that all went well.
func (a *attempt) endOf(exit supervisor.Exit) *badEnd {
	steps := stepsOf(a.job)
	failed := !exit.Finished || len(exit.Steps) < len(steps)
	last := supervisor.StepExit{Code: -1}
	if len(exit.Steps) > 0 {
		last = exit.Steps[len(exit.Steps)-1]
		failed = failed || last.Failed()
	}
	if !failed {
		return nil
	}
	engine := a.tools.Engine.String()
	reason := a.endedFor()
	overQuota := (*errOverQuota)(nil)
	switch {
	case errors.As(reason, &overQuota):
		return &badEnd{message: overQuota.message, code: client.JobErrorInsufficientQuota}
	case errors.Is(reason, errCanceledGently), errors.Is(reason, errCanceledHard):
		return &badEnd{message: reason.Error(), canceled: true}
	case reason != nil:
		return &badEnd{message: fmt.Sprintf("%s, which ended %s%s", reason, engine, a.roomAdvice(reason.Error())), retryable: true}
	case exit.Reason != "":
		return &badEnd{message: fmt.Sprintf("%s was ended: %s%s", engine, exit.Reason, a.roomAdvice(exit.Reason)), retryable: true}
	case last.Error != "":
		return &badEnd{message: fmt.Sprintf("start %s: %s", engine, last.Error), retryable: true}
	case last.Signal != "" || !exit.Finished:
		return &badEnd{message: fmt.Sprintf("%s was killed on the provisioner's host (%s)", engine, signalText(last, exit)), retryable: true}
	case a.work.headline() != "":
		return &badEnd{message: a.advised(a.work.headline())}
	}
	return &badEnd{message: fmt.Sprintf("%s ended with status %d; see the log", engine, last.Code)}
}

func signalText(last supervisor.StepExit, exit supervisor.Exit) string {
	if last.Signal != "" {
		return "signal: " + last.Signal
	}
	if !exit.Finished {
		return "its supervisor died with it"
	}
	return "without a trace"
}

// noteExit turns the steps' times into timings, and what else was recorded
// into the log.
func (a *attempt) noteExit(exit supervisor.Exit) {
	for _, s := range exit.Steps {
		name, _, _ := strings.Cut(s.Name, "-")
		if name == "plan" || name == stepGraph {
			a.timings = append(a.timings, stageTiming(name, name, a.tools.Engine.Product, s.StartedAt, s.EndedAt))
		}
	}
	if exit.Reason == supervisor.ReasonFence {
		a.pastFence.Store(true)
	}
	if exit.Stragglers > 0 {
		a.journal.say(terraform.LevelWarn, "%d processes that the template had started were still running %s after the engine ended, and were stopped.", exit.Stragglers, engineLinger)
	}
}

func (a *attempt) judgeBuild(ended *badEnd) verdict {
	content, final, err := a.states.final(a.job)
	if err != nil {
		return a.failed(client.FailJobRequest{Error: fmt.Sprintf("read the workspace's state: %s", err)})
	}
	before, err := terraform.ParseState(a.job.State)
	if err != nil {
		before = &terraform.State{}
	}
	if ended != nil {
		v := a.failed(client.FailJobRequest{
			Error: ended.message, Code: ended.code, Canceled: ended.canceled, Retryable: ended.retryable,
			InDoubt: a.work.doubtful(before, final), Tainted: newlyTainted(before, final),
		})
		if content != nil || !a.folder.gone() { // else the server may know of more
			v.failure.Standing = a.standing(before, final, v.failure.InDoubt)
		}
		v.state = content
		a.nameDoubts(v.failure)
		return v
	}
	result, err := a.buildResult(final)
	if err != nil {
		v := a.failed(client.FailJobRequest{Error: err.Error(), Standing: a.standing(before, final, nil)})
		v.state = content
		return v
	}
	return verdict{state: content, complete: client.CompleteJobRequest{Build: result, Timings: a.allTimings()}}
}

// nameDoubts says in the log what nobody knows.
func (a *attempt) nameDoubts(failure *client.FailJobRequest) {
	for _, doubt := range failure.InDoubt {
		if doubt.Grounds == client.GroundsPlanned {
			a.journal.say(terraform.LevelError, "%s was wanted by the plan, and how far its apply came is lost with the spool. It may exist without being in the workspace's state: look for it and remove it by hand.", doubt.Address)
			continue
		}
		found := ""
		if doubt.ID != "" {
			found = " (id " + doubt.ID + ")"
		}
		a.journal.say(terraform.LevelError, "%s%s was being made when the engine was killed. It may exist without being in the workspace's state: look for it and remove it by hand.", doubt.Address, found)
	}
	for _, address := range failure.Tainted {
		a.journal.say(terraform.LevelWarn, "%s was not finished; the next build destroys it and makes it again.", address)
	}
}

func (a *attempt) buildResult(final *terraform.State) (*client.BuildResult, error) {
	if a.job.Metadata.Transition == client.TransitionDelete && !final.Empty() {
		return nil, errors.New("the state still holds resources after everything was to be destroyed; see the log, and delete the workspace again")
	}
	graph, err := terraform.ReadGraph(a.job.Graph)
	if err != nil {
		return nil, err
	}
	resources, err := terraform.ResourcesOfState(final, graph)
	if err != nil {
		return nil, err
	}
	return &client.BuildResult{Resources: resources, Empty: final.Empty(), DailyCost: terraform.CostOfState(final)}, nil
}

// standing is what a build that went wrong has left; nil when it cannot be
// read, and the server goes on counting with the larger of what it knew.
func (a *attempt) standing(before, final *terraform.State, doubtful []client.DoubtfulResource) *client.Standing {
	if !a.work.hasTouched() {
		return &client.Standing{Untouched: true}
	}
	graph, err := terraform.ReadGraph(a.job.Graph)
	if err != nil {
		return nil
	}
	readings := [][]client.ProvisionedResource{}
	if plan, err := os.ReadFile(a.folder.path(stepShow + ".out")); err == nil {
		if planned, err := terraform.ResourcesOfPlan(plan, graph); err == nil {
			readings = append(readings, planned)
		}
	}
	if earlier, err := terraform.ResourcesOfState(before, graph); err == nil {
		readings = append(readings, earlier)
	}
	stands, err := terraform.ResourcesOfState(final, graph)
	if err != nil {
		return nil
	}
	addresses := []string{}
	for _, doubt := range doubtful {
		addresses = append(addresses, doubt.Address)
	}
	return &client.Standing{Empty: final.Empty() && len(doubtful) == 0, DailyCost: terraform.StandingCost(stands, addresses, readings...)}
}

func (a *attempt) judgeDryRun() verdict {
	plan, graph, err := a.readPlan(stepShow)
	if err != nil {
		return a.failed(client.FailJobRequest{Error: err.Error()})
	}
	resources, err := terraform.ResourcesOfPlan(plan, graph)
	if err != nil {
		return a.failed(client.FailJobRequest{Error: err.Error()})
	}
	return verdict{complete: client.CompleteJobRequest{DryRun: &client.DryRunResult{Resources: resources}, Timings: a.allTimings()}}
}

// readPlan reads the documents that the steps printed.
func (a *attempt) readPlan(show string) ([]byte, *terraform.Graph, error) {
	plan, err := os.ReadFile(a.folder.path(show + ".out"))
	if err != nil {
		return nil, nil, fmt.Errorf("read the plan: %w", err)
	}
	dot, err := os.ReadFile(a.folder.path(stepGraph + ".out"))
	if err != nil {
		return nil, nil, fmt.Errorf("read the graph: %w", err)
	}
	graph, err := terraform.ParseDOT(string(dot))
	return plan, graph, err
}

func (a *attempt) judgeImport() verdict {
	result, err := a.importResult()
	if err != nil {
		return a.failed(client.FailJobRequest{Error: err.Error(), Import: a.facts})
	}
	return verdict{complete: client.CompleteJobRequest{Import: result, Timings: a.allTimings()}}
}

func (a *attempt) importResult() (*client.ImportResult, error) {
	result := &client.ImportResult{Variables: []client.TemplateVersionVariable{}}
	if a.facts == nil {
		if err := a.inspectTemplate(a.folder.path(workDir)); err != nil {
			return nil, err
		}
	}
	*result = *a.facts
	plan, graph, err := a.readPlan(stepShow)
	if err != nil {
		return nil, err
	}
	started, err := terraform.ReadImport(plan, graph)
	if err != nil {
		return nil, err
	}
	if result.StartCost, result.Priced, err = terraform.Pricing(plan); err != nil {
		return nil, err
	}
	if plan, graph, err = a.readPlan(stepShowStop); err != nil {
		return nil, err
	}
	stopped, err := terraform.ResourcesOfPlan(plan, graph)
	if err != nil {
		return nil, err
	}
	for _, name := range started.Unknown {
		a.journal.say(terraform.LevelWarn, "A preset sets the parameter %q, which the template does not have.", name)
	}
	result.Parameters, result.Presets, result.ExternalAuth = started.Parameters, started.Presets, started.ExternalAuth
	result.StartResources, result.StopResources = started.Resources, stopped
	result.HasExternalAgent = started.HasExternalAgent
	if result.StopCost, _, err = terraform.Pricing(plan); err != nil {
		return nil, err
	}
	result.Graph, err = json.Marshal(graph)
	return result, err
}

// nothingToDo: deleting a workspace that has nothing takes no engine.
func (a *attempt) nothingToDo() verdict {
	a.journal.say(terraform.LevelInfo, "The workspace holds no resources: nothing to destroy.")
	return verdict{
		state: a.job.State,
		complete: client.CompleteJobRequest{
			Build:   &client.BuildResult{Resources: []client.ProvisionedResource{}, Empty: true},
			Timings: a.allTimings(),
		},
	}
}

// failedBefore is the verdict when no engine ran. Faults of the template are
// its author's; all others are this host's, and another try may fare better.
func (a *attempt) failedBefore(err error) verdict {
	request := client.FailJobRequest{Error: a.daemon.explained(err).Error(), Retryable: true, Import: a.facts, Standing: &client.Standing{Untouched: true}}
	templateFault, sourceFault, initFault := (*templateError)(nil), (*terraform.SourceError)(nil), (*terraform.InitError)(nil)
	switch reason := a.endedFor(); {
	case errors.Is(reason, errCanceledGently), errors.Is(reason, errCanceledHard):
		request.Error, request.Canceled, request.Retryable = reason.Error(), true, false
	case reason != nil:
		request.Error = reason.Error()
	case errors.As(err, &templateFault):
		request.Code, request.Retryable = templateFault.code, false
		if templateFault.facts != nil {
			request.Import = templateFault.facts
		}
	case errors.As(err, &sourceFault), errors.As(err, &initFault):
		request.Retryable = false
	}
	a.journal.say(terraform.LevelError, "%s", request.Error)
	return a.failed(request)
}

func (a *attempt) failed(request client.FailJobRequest) verdict {
	request.EngineDead = true
	request.Error = a.mask.Replace(request.Error)
	request.Timings = a.allTimings()
	return verdict{failure: &request}
}

func (a *attempt) allTimings() []client.StageTiming {
	return append(append([]client.StageTiming{}, a.timings...), a.work.resourceTimings()...)
}

// namesOf lists names after a noun: "variable a", "variables a and b".
func namesOf(noun string, names []string) string {
	if len(names) == 1 {
		return noun + " " + names[0]
	}
	return noun + "s " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
