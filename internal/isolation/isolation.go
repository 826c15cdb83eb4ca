// Package isolation proves on a running deployment that organizations do not
// see each other. It makes throwaway organizations with one of everything,
// calls every operation that the server documents as people of another
// organization, on what exists and on what does not, and compares the answers
// byte for byte. The same calls by those who own the objects must succeed in
// the same run: an answer that nobody can get otherwise proves nothing.
package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"coder/client"
)

// Options say what to check.
type Options struct {
	// URL of the deployment and Token of one of its owners.
	URL   string
	Token string
	// Header is added to every request, for what stands before the server.
	Header http.Header
	// Progress, when set, is told what is being done.
	Progress func(string)
}

// Leak is a call whose answer tells about an organization that the caller has
// nothing to do with.
type Leak struct {
	Operation string `json:"operation"`
	Caller    string `json:"caller"`
	// Call is the request; Got is its answer, Want what a call for something
	// that does not exist is answered.
	Call string `json:"call"`
	Got  string `json:"got"`
	Want string `json:"want"`
}

// Report is what a run found.
type Report struct {
	// Operations is how many the server documents, Compared how many calls
	// were compared with their twin.
	Operations int    `json:"operations"`
	Compared   int    `json:"compared"`
	Leaks      []Leak `json:"leaks"`
	// Unproven are operations that nobody could make succeed, or for which
	// there is no rule how to call them.
	Unproven []string `json:"unproven"`
}

// Proven tells whether nothing leaks, and every comparison was worth making.
func (r *Report) Proven() bool { return len(r.Leaks)+len(r.Unproven) == 0 }

// Operation is one that the server documents.
type Operation struct {
	Method, Path, Permission string
}

func (o Operation) String() string { return o.Method + " " + o.Path }

func (o Operation) writes() bool { return o.Method != http.MethodGet }

// parameters are the names in the path, in their order.
func (o Operation) parameters() []string {
	var names []string
	for part := range strings.SplitSeq(o.Path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// public operations answer without a session, and have nothing to hide.
func (o Operation) public() bool { return o.Permission == "public" }

// Run makes the organizations, checks every operation and takes everything
// away again. Its error means that the check could not be made.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	if _, err := w.api.User(ctx, client.Me); err != nil {
		return nil, fmt.Errorf("ask as an owner of the deployment: %w", err)
	}
	operations, err := w.documented(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.clear(context.WithoutCancel(ctx))) }()
	o.Progress("making an organization that will be looked at from outside")
	if err := w.makeAttackers(ctx); err != nil {
		return nil, fmt.Errorf("make the callers: %w", err)
	}
	c := &check{world: w, report: &Report{Operations: len(operations), Leaks: []Leak{}, Unproven: []string{}}, operations: operations}
	c.remember(ctx)
	if err := w.makeVictim(ctx); err != nil {
		return nil, fmt.Errorf("make the organization to be seen by nobody: %w", err)
	}
	o.Progress("calling every operation as people of another organization")
	c.compareLists(ctx, true)
	c.outside(ctx)
	c.attack(ctx)
	c.search(ctx)
	c.compareLists(ctx, false)
	o.Progress("calling every operation as those who may")
	c.prove(ctx)
	return c.report, ctx.Err()
}

// documented reads the operations that the server publishes.
func (w *world) documented(ctx context.Context) ([]Operation, error) {
	answer := w.call(ctx, request{method: http.MethodGet, path: "/openapi.json", as: w.owner})
	var document struct {
		Paths map[string]map[string]struct {
			Permission string `json:"x-permission"`
		} `json:"paths"`
	}
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("read the server's own description: %s", answer)
	}
	if err := json.Unmarshal([]byte(answer.body), &document); err != nil {
		return nil, fmt.Errorf("read the server's own description: %w", err)
	}
	var operations []Operation
	for path, methods := range document.Paths {
		for method, operation := range methods {
			operations = append(operations, Operation{strings.ToUpper(method), strings.TrimPrefix(path, "/api/v2"), operation.Permission})
		}
	}
	slices.SortFunc(operations, func(x, y Operation) int { return strings.Compare(x.Path+x.Method, y.Path+y.Method) })
	return operations, nil
}

// credential is who a request comes from, as headers say it.
type credential struct {
	name   string
	header http.Header
	// readsUsers: the role may read every user of the deployment, who are no
	// secret to it.
	readsUsers bool
}

func session(name, token string) credential {
	return credential{name: name, header: http.Header{client.HeaderSessionToken: {token}}}
}
