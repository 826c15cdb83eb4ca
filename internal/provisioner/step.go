package provisioner

import (
	"path/filepath"

	"coder/client"
	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// Stages of a job's log, as the reference names them.
const (
	stageSetUp      = "Setting up"
	stageParse      = "Parsing template parameters"
	stageInit       = "Initializing Terraform Directory"
	stagePersistent = "Detecting persistent resources"
	stageEphemeral  = "Detecting ephemeral resources"
	stagePlan       = "Planning Infrastructure"
	stageQuota      = "Commit quota"
	stageCleanUp    = "Cleaning Up"
)

func applyStage(transition string) string {
	switch transition {
	case client.TransitionStop:
		return "Stopping workspace"
	case client.TransitionDelete:
		return "Destroying workspace"
	}
	return "Starting workspace"
}

// step is one engine call of a job. Its name is that of its files.
type step struct {
	name string
	// stage begins with its first line, applyStage where its plan ends.
	stage, applyStage string
	// data: what it prints is a document, not a log.
	data bool
	// gate: wait for the server's leave.
	gate       bool
	transition string
	arguments  func(engine terraform.Engine, variables string) []string
}

// Names of the steps whose output is read back.
const (
	stepShow     = "show"
	stepShowStop = "show-stop"
	stepGraph    = "graph"
	stepApply    = "apply"
)

// stepsOf says which engine calls a job takes. It depends on nothing but the
// job, so that a successor knows them too.
func stepsOf(job client.AcquiredJob) []step {
	switch job.Type {
	case client.JobTemplateVersionImport:
		return importSteps()
	case client.JobTemplateVersionDryRun:
		return []step{
			planStep("plan", stagePlan, client.TransitionStart, false), showStep(stepShow, client.TransitionStart), graphStep(),
		}
	}
	transition := job.Metadata.Transition
	destroy := transition == client.TransitionDelete
	if !job.Split {
		return []step{{
			name: stepApply, stage: stagePlan, applyStage: applyStage(transition), transition: transition,
			arguments: func(e terraform.Engine, variables string) []string { return e.ApplyArguments(variables, destroy) },
		}}
	}
	return []step{
		planStep("plan", stagePlan, transition, destroy),
		showStep(stepShow, transition),
		{
			name: stepApply, stage: applyStage(transition), gate: true, transition: transition,
			arguments: func(e terraform.Engine, _ string) []string { return e.ApplyPlanArguments() },
		},
	}
}

func importSteps() []step {
	return []step{
		planStep("plan", stagePersistent, client.TransitionStart, false),
		showStep(stepShow, client.TransitionStart),
		graphStep(),
		planStep("plan-stop", stageEphemeral, client.TransitionStop, false),
		showStep(stepShowStop, client.TransitionStop),
	}
}

func planStep(name, stage, transition string, destroy bool) step {
	return step{
		name: name, stage: stage, transition: transition,
		arguments: func(e terraform.Engine, variables string) []string { return e.PlanArguments(variables, destroy) },
	}
}

func showStep(name, transition string) step {
	return step{name: name, data: true, transition: transition, arguments: func(e terraform.Engine, _ string) []string { return e.ShowArguments() }}
}

func graphStep() step {
	return step{name: stepGraph, data: true, transition: client.TransitionStart, arguments: func(e terraform.Engine, _ string) []string { return e.GraphArguments() }}
}

// engineStep turns a step into what the supervisor runs.
func (a *attempt) engineStep(s step, prepared *terraform.Prepared, variables string) (supervisor.Step, error) {
	job, err := terraform.JobEnvironment(a.job, s.transition)
	if err != nil {
		return supervisor.Step{}, err
	}
	environment := append(append([]string{}, prepared.Environment...), job...)
	if a.job.LogLevel == terraform.LevelDebug {
		environment = append(environment, "TF_LOG=JSON")
	}
	state := ""
	if s.name == stepApply {
		state = a.folder.path(filepath.Join(workDir, terraform.StateFile))
	}
	return supervisor.Step{
		Name: s.name, State: state, Argv: s.arguments(a.tools.Engine, variables), Dir: a.folder.path(workDir), Env: environment,
		Stdout: a.folder.path(s.name + ".out"), Stderr: a.folder.path(s.name + ".err"), Gate: s.gate,
	}, nil
}

// follows are the files of a job's steps that are its log.
func (a *attempt) follows() []*follow {
	follows := []*follow{}
	for i, s := range stepsOf(a.job) {
		if !s.data {
			follows = append(follows, a.newFollow(s.name+".out", s, ""))
		}
		follows = append(follows, a.newFollow(s.name+".err", s, terraform.LevelError))
		for _, f := range follows {
			f.first = i == 0 || f.first
		}
	}
	return follows
}

func (a *attempt) newFollow(name string, s step, level string) *follow {
	return &follow{
		tail: tail{path: filepath.Join(a.folder.dir, name)}, name: name,
		stage: s.stage, applyStage: s.applyStage, level: level,
	}
}
