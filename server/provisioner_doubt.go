package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"coder/client"
	"coder/internal/terraform"
	"coder/store"
)

// maxIntents bounds what an attempt's open intents take, which are written
// again with each call, and maxWanted how many of them only the plan wants.
const (
	maxIntents = 16 << 20
	maxWanted  = 2000
)

// makes tells whether an action brings something into the world.
func makes(action string) bool { return action == "create" || action == "replace" }

// mergeIntents keeps what was begun and not finished, and what the plan wants
// to make and was not begun, by address. What is removed at an address where
// something is made is what that replaces. told: with req, all that the plan
// wants was told and kept.
func mergeIntents(stored string, req client.AppendLogsRequest) (merged string, told bool, err error) {
	if len(req.Intents) == 0 && !req.PlanTold {
		return stored, false, nil
	}
	open := map[string]client.DoubtfulResource{}
	if err := json.Unmarshal([]byte(stored), &open); err != nil {
		return "", false, fmt.Errorf("read the attempt's intents: %w", err)
	}
	wanted := 0
	for _, d := range open {
		if d.Grounds == client.GroundsPlanned {
			wanted++
		}
	}
	for _, i := range req.Intents {
		was, known := open[i.Address]
		switch {
		case i.Wanted && (known || !makes(i.Action) || wanted == maxWanted):
		case i.Wanted:
			open[i.Address] = client.DoubtfulResource{Address: i.Address, Action: i.Action, Grounds: client.GroundsPlanned}
			wanted++
		case makes(was.Action) && !makes(i.Action):
		case i.Done:
			delete(open, i.Address)
		default:
			open[i.Address] = client.DoubtfulResource{Address: i.Address, Action: i.Action, ID: i.ID, Planned: cmp.Or(i.Planned, was.Planned)}
		}
	}
	if merged = store.JSON(open); len(merged) > maxIntents {
		return "", false, badRequest(fmt.Sprintf("The resources that are begun and not done take more than %d bytes.", maxIntents))
	}
	return merged, req.PlanTold && wanted < maxWanted, nil
}

// inDoubt is what the job's last attempt may have made and the newest state
// does not record, when nobody tells how its engine ended: what was begun to
// be made, what its plan wanted made, and, where that was not told, whatever
// the template has. An engine that was not let past its plan has made nothing.
func (a *api) inDoubt(ctx context.Context, tx *store.Store, job store.ProvisionerJob) ([]client.DoubtfulResource, error) {
	none := []client.DoubtfulResource{}
	if job.AttemptID == nil || job.WorkspaceBuildID == nil {
		return none, nil
	}
	attempt, err := tx.GetAttemptOfCall(ctx, *job.AttemptID)
	if err != nil {
		return nil, err
	}
	build, err := buildOfJob(ctx, tx, job)
	if err != nil {
		return nil, err
	}
	changed, err := a.mayHaveChanged(ctx, tx, job, build)
	if err != nil || !changed {
		return none, err
	}
	doubt, err := unrecorded(ctx, tx, attempt)
	if err != nil || attempt.PlanTold || build.Transition == client.TransitionDelete {
		return doubt, err // to destroy makes nothing
	}
	doubt = slices.DeleteFunc(doubt, func(d client.DoubtfulResource) bool { return d.Grounds == client.GroundsPlanned })
	version, err := versionOfBuild(ctx, tx, build)
	if err != nil {
		return nil, fmt.Errorf("read the version of build %s: %w", build.ID, err)
	}
	return append(doubt, doubtsOfTemplate(version)...), nil
}

// unrecorded is what was begun or planned to be made and is not recorded by
// the newest state, in this order. That there is something at the address is
// not enough: it may be what stood there before the attempt. What is changed or
// destroyed is in the state as long as it is not gone, and so is known.
func unrecorded(ctx context.Context, tx *store.Store, attempt store.Attempt) ([]client.DoubtfulResource, error) {
	open := map[string]client.DoubtfulResource{}
	if err := json.Unmarshal([]byte(attempt.Intents), &open); err != nil {
		return nil, fmt.Errorf("read the attempt's intents: %w", err)
	}
	maps.DeleteFunc(open, func(_ string, d client.DoubtfulResource) bool { return !makes(d.Action) })
	if len(open) == 0 {
		return []client.DoubtfulResource{}, nil
	}
	before, now, err := statesAround(ctx, tx, attempt)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(open, func(address string, d client.DoubtfulResource) bool { return now.Records(address, d.ID, before) })
	return slices.SortedFunc(maps.Values(open), func(x, y client.DoubtfulResource) int {
		return cmp.Or(strings.Compare(x.Grounds, y.Grounds), strings.Compare(x.Address, y.Address)) // begun ones have none
	}), nil
}

// doubtsOfTemplate are all resources of a version; one address stands for
// those of a version that does not say which it has.
func doubtsOfTemplate(version store.TemplateVersion) []client.DoubtfulResource {
	addresses := []string{""}
	if graph, err := terraform.ReadGraph(json.RawMessage(version.Graph)); err == nil && version.Graph != "" {
		addresses = graph.Resources()
	}
	doubt := []client.DoubtfulResource{}
	for _, address := range addresses {
		doubt = append(doubt, client.DoubtfulResource{Address: address + client.EveryInstance, Action: "create", Grounds: client.GroundsTemplate})
	}
	return doubt
}

// statesAround are the state from which an attempt has started, and the
// newest; one that is not there is empty.
func statesAround(ctx context.Context, tx *store.Store, attempt store.Attempt) (before, now *terraform.State, err error) {
	base, err := tx.GetWorkspaceStateBefore(ctx, store.GetWorkspaceStateBeforeParams{
		OrganizationID: attempt.OrganizationID, WorkspaceID: *attempt.WorkspaceID, Fence: attempt.Fence,
	})
	if before, err = openState(ctx, tx, base, err); err != nil {
		return nil, nil, err
	}
	newest, err := tx.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: attempt.OrganizationID, WorkspaceID: *attempt.WorkspaceID})
	now, err = openState(ctx, tx, newest, err)
	return before, now, err
}

// openState parses a state row as a query has returned it.
func openState(ctx context.Context, tx *store.Store, row store.WorkspaceState, err error) (*terraform.State, error) {
	if store.IsNotFound(err) {
		return &terraform.State{}, nil
	}
	if err != nil {
		return nil, err
	}
	raw, err := tx.UnsealState(ctx, row.OrganizationID, row.Data)
	if err != nil {
		return nil, err
	}
	return terraform.ParseState(raw)
}

// isGuessed: nobody has said that the engine had begun with it.
func isGuessed(d client.DoubtfulResource) bool {
	return d.Grounds == client.GroundsPlanned || d.Grounds == client.GroundsTemplate
}

// maxNamedDoubts is how many resources in doubt the error of a job names on each
// ground; its explanation has all.
const maxNamedDoubts = 20

// doubtHeadings say why something is in doubt, in the order in which it is named.
var doubtHeadings = []struct{ grounds, text string }{
	{client.GroundsBegun, "In doubt, because the engine was killed while it worked on them; look whether they exist:"},
	{client.GroundsPlanned, "In doubt, because the plan wanted them and nobody knows how far its engine came; look whether they exist:"},
	{client.GroundsTemplate, "In doubt, because not even the plan had reached the server: any instance of these resources of the template may exist without being in the state, and what is in the state may have been changed or replaced:"},
}

// failure is the job's error with what is in doubt, named one by one as far as
// people read it.
func failure(job store.ProvisionerJob, req client.FailJobRequest) string {
	var b strings.Builder
	b.WriteString(req.Error)
	for _, heading := range doubtHeadings {
		named := 0
		for _, d := range req.InDoubt {
			if cmp.Or(d.Grounds, client.GroundsBegun) != heading.grounds {
				continue
			}
			if named++; named == 1 {
				b.WriteString("\n" + heading.text)
			}
			if named <= maxNamedDoubts {
				fmt.Fprintf(&b, "\n  %s (%s) %s", d.Address, d.Action, strings.TrimSpace(idText(d.ID)+" "+d.Planned))
			}
		}
		if named > maxNamedDoubts {
			fmt.Fprintf(&b, "\n  and %d more: `coder provisioner jobs explain %s` names all", named-maxNamedDoubts, job.ID)
		}
	}
	if len(req.Tainted) > 0 {
		b.WriteString("\nTainted, so the next start makes them again: " + strings.Join(req.Tainted, ", "))
	}
	return b.String()
}

func idText(id string) string {
	if id == "" {
		return ""
	}
	return "id " + id
}
