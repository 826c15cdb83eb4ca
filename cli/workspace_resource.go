package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

// followOf fixes the id of a log that is followed.
func followOf(follow func(context.Context, uuid.UUID, int64) logStream, id uuid.UUID) func(context.Context, int64) logStream {
	return func(ctx context.Context, after int64) logStream {
		return follow(ctx, id, after)
	}
}

// resourceRow is a line of the table of resources: a resource, or an agent of it.
type resourceRow struct {
	resource string
	status   string
	health   string
	version  string
}

func resourceTable(withAgents bool) table[resourceRow] {
	t := table[resourceRow]{columns: []column[resourceRow]{
		{"resource", func(r resourceRow) string { return r.resource }},
		{"status", func(r resourceRow) string { return r.status }},
		{"health", func(r resourceRow) string { return r.health }},
		{"version", func(r resourceRow) string { return r.version }},
	}}
	if !withAgents {
		t.defaults = []string{"resource"}
	}
	return t
}

// resourceRows lists what is not hidden, each with its agents below.
func resourceRows(resources []client.WorkspaceResource, transition string) []resourceRow {
	rows := []resourceRow{}
	for _, r := range resources {
		if r.Hide || (r.Transition != "" && transition != "" && r.Transition != transition) {
			continue
		}
		rows = append(rows, resourceRow{resource: r.Type + "." + r.Name})
		for i, a := range r.Agents {
			branch := "├─ "
			if i == len(r.Agents)-1 {
				branch = "└─ "
			}
			health := "✔ healthy"
			if !a.Health.Healthy {
				health = "✘ " + strings.TrimSpace("unhealthy "+a.Health.Reason)
			}
			rows = append(rows, resourceRow{
				resource: branch + a.Name + " (" + a.OperatingSystem + ", " + a.Architecture + ")",
				status:   a.Status, health: health, version: a.Version,
			})
		}
	}
	return rows
}

// showResources prints what a plan makes, on standard error.
func (e *Env) showResources(title string, resources []client.WorkspaceResource, transition string) {
	rows := resourceRows(resources, transition)
	e.errf("\n%s\n", e.paint(e.Stderr, bold, title))
	if len(rows) == 0 {
		e.errf("(no resources)\n\n")
		return
	}
	resourceTable(false).print(e.Stderr, nil, rows)
	e.errf("\n")
}

// hasAgents says whether anything in there can be entered.
func hasAgents(resources []client.WorkspaceResource) bool {
	return slices.ContainsFunc(resources, func(r client.WorkspaceResource) bool { return len(r.Agents) > 0 })
}
