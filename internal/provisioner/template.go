package provisioner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"coder/client"
	"coder/internal/template"
	"coder/internal/terraform"
)

// templateError is a fault of the template or of what was given to it.
type templateError struct {
	code string
	// facts are what could be read in spite of it.
	facts *client.ImportResult
	err   error
}

func (e *templateError) Error() string { return e.err.Error() }
func (e *templateError) Unwrap() error { return e.err }

// prepareTemplate gets the initialised directory of the job's template. The
// server gives the archive to confirmed attempts only.
func (a *attempt) prepareTemplate(confirmed <-chan struct{}) (*terraform.Prepared, error) {
	initOut := &initOutput{attempt: a}
	started := a.daemon.now()
	prepared, err := a.tools.workshop.Prepare(a.jobCtx, terraform.Request{
		Hash: a.job.SourceHash, Output: initOut, Folder: a.folder.dir,
		Fetch: func(ctx context.Context) (io.ReadCloser, error) {
			select {
			case <-confirmed:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			return a.fetchSource(ctx)
		},
	})
	initOut.flush()
	if failed := (*terraform.InitError)(nil); errors.As(err, &failed) && a.work.headline() != "" {
		err = &templateError{err: fmt.Errorf("initialize the template: %s", a.advised(a.work.headline()))}
		if found := a.healCache(); found != "" {
			err = fmt.Errorf("%w\n%s", errors.Unwrap(err), found)
		}
		return nil, err
	}
	if err == nil && prepared.Fresh {
		a.timings = append(a.timings, client.StageTiming{
			StartedAt: started.UTC(), EndedAt: a.daemon.now().UTC(), Stage: "init", Source: a.tools.Engine.Product, Action: "init", Resource: "",
		})
	}
	return prepared, err
}

// layOut makes the job's directory out of the cache. What is found damaged
// there is made again, once.
func (a *attempt) layOut(confirmed <-chan struct{}) error {
	for again := false; ; again = true {
		prepared, err := a.prepareTemplate(confirmed)
		if err != nil {
			return err
		}
		a.prepared = prepared
		err = prepared.Clone(a.folder.path(workDir))
		damage := (*terraform.DamageError)(nil)
		if again || !errors.As(err, &damage) {
			return err
		}
		a.journal.say(terraform.LevelWarn, "%s. It is made again.", sentence(damage.Error()))
		if err := errors.Join(prepared.Retire(), prepared.Release(), os.RemoveAll(a.folder.path(workDir))); err != nil {
			return err
		}
		a.prepared = nil
	}
}

// healCache looks, after a job went wrong, whether what it had of the cache
// was damaged. It tells what was, and that it is made again; nothing when all
// is well.
func (a *attempt) healCache() string {
	healed, err := a.tools.workshop.Cache().HealUsed(context.WithoutCancel(a.jobCtx), a.folder.dir)
	if err != nil {
		a.logger.Warn("read what the job used of the cache", "error", err)
	}
	found := []string{}
	for _, item := range healed {
		found = append(found, fmt.Sprintf("%s in the cache was damaged (%s) and is made again", item.Title(), item.Detail))
	}
	if len(found) == 0 {
		return ""
	}
	text := sentence(strings.Join(found, "; ")) + "."
	a.journal.say(terraform.LevelWarn, "%s", text)
	return text
}

// sentence begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func (a *attempt) fetchSource(ctx context.Context) (io.ReadCloser, error) {
	var source io.ReadCloser
	err := retry(ctx, a.logger, "fetch the template", func() error {
		var err error
		source, err = a.client.Source(ctx)
		return err
	})
	return source, err
}

// inspectTemplate reads an import's template without an engine, and refuses
// it when a variable has no value.
func (a *attempt) inspectTemplate(dir string) error {
	if a.job.Type != client.JobTemplateVersionImport {
		return nil
	}
	a.journal.enterStage(stageParse)
	source, err := template.Read(os.DirFS(dir))
	if err != nil {
		return &templateError{err: err}
	}
	a.facts = &client.ImportResult{Readme: source.Readme, Variables: a.variablesOf(source)}
	missing := []string{}
	for _, variable := range a.facts.Variables {
		if variable.Required && !a.given(variable.Name) {
			missing = append(missing, variable.Name)
		}
	}
	if len(missing) > 0 {
		return &templateError{
			code: client.JobErrorRequiredVariables, facts: a.facts,
			err: fmt.Errorf("the template needs a value for the %s; push it again with --variable name=value", namesOf("variable", missing)),
		}
	}
	return nil
}

func (a *attempt) variablesOf(source *template.Source) []client.TemplateVersionVariable {
	variables := []client.TemplateVersionVariable{}
	for _, declared := range source.Variables {
		value := declared.Default
		for _, given := range a.job.Variables {
			if given.Name == declared.Name {
				value = given.Value
			}
		}
		variables = append(variables, declared.API(value))
	}
	return variables
}

func (a *attempt) given(name string) bool {
	for _, variable := range a.job.Variables {
		if variable.Name == name && variable.Value != "" {
			return true
		}
	}
	return false
}

// initOutput puts what init prints into the job's log, line by line.
type initOutput struct {
	attempt *attempt
	rest    []byte
	begun   bool
}

func (o *initOutput) Write(content []byte) (int, error) {
	if !o.begun {
		o.attempt.journal.enterStage(stageInit)
		o.begun = true
	}
	o.rest = append(o.rest, content...)
	for {
		line, behind, found := cutLine(o.rest)
		if !found && len(o.rest) < maxTailLine {
			return len(content), nil
		}
		o.line(line)
		o.rest = behind
	}
}

func (o *initOutput) flush() {
	if len(o.rest) > 0 {
		o.line(o.rest)
		o.rest = nil
	}
}

func (o *initOutput) line(content []byte) {
	event := terraform.ParseEvent(content)
	o.attempt.work.note(event)
	o.attempt.journal.addEvent(event, event.Level, "", 0)
}

func stageTiming(stage, action, source string, from, to time.Time) client.StageTiming {
	return client.StageTiming{StartedAt: from.UTC(), EndedAt: to.UTC(), Stage: stage, Source: source, Action: action}
}
