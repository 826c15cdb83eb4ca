package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// agentInactive is after how long without a word an agent counts as disconnected.
const agentInactive = 30 * time.Second

// maxResources of a job, with their agents: to store more holds up the other
// writers for seconds, and nobody could look through them.
const maxResources = 10_000

// insertResources stores what a job found, or made, for one transition.
func (a *api) insertResources(ctx context.Context, tx *store.Store, job store.ProvisionerJob, transition string, resources []client.ProvisionedResource) error {
	count := len(resources)
	for _, r := range resources {
		count += len(r.Agents)
	}
	if count > maxResources {
		return badRequest(fmt.Sprintf("The job has %d resources and agents, and at most %d can be shown; divide the template.", count, maxResources))
	}
	now := store.At(a.now())
	for _, r := range resources {
		id := uuid.New()
		metadata, err := tx.Seal(ctx, job.OrganizationID, store.PurposeMetadata, []byte(store.JSON(nonNil(r.Metadata))))
		if err != nil {
			return err
		}
		err = tx.InsertWorkspaceResource(ctx, store.InsertWorkspaceResourceParams{
			ID: id, OrganizationID: job.OrganizationID, JobID: job.ID, Transition: transition, Address: r.Address, Type: r.Type, Name: r.Name,
			Hide: r.Hide, Icon: r.Icon, DailyCost: int64(r.DailyCost), InstanceType: r.InstanceType, ModulePath: r.ModulePath,
			Metadata: metadata, CreatedAt: now,
		})
		if err != nil {
			return fmt.Errorf("store resource %s: %w", r.Address, err)
		}
		for _, agent := range r.Agents {
			if err := a.insertAgent(ctx, tx, job, id, agent); err != nil {
				return fmt.Errorf("store agent %s of %s: %w", agent.Name, r.Address, err)
			}
		}
	}
	return nil
}

// insertAgent gives the agent an id of its own: Terraform's stays the same
// over many builds. Of the token only the hash is kept.
func (a *api) insertAgent(ctx context.Context, tx *store.Store, job store.ProvisionerJob, resourceID uuid.UUID, agent client.ProvisionedAgent) error {
	hashed := []byte{}
	if agent.Token != "" {
		hashed = hashSecret(agent.Token)
	}
	agent.Token = ""
	spec, err := tx.Seal(ctx, job.OrganizationID, store.PurposeAgent, []byte(store.JSON(agent)))
	if err != nil {
		return err
	}
	now := store.At(a.now())
	return tx.InsertWorkspaceAgent(ctx, store.InsertWorkspaceAgentParams{
		ID: uuid.New(), OrganizationID: job.OrganizationID, ResourceID: resourceID, JobID: job.ID, Name: agent.Name,
		HashedToken: hashed, Spec: spec, CreatedAt: now, UpdatedAt: now,
	})
}

// resourceResponses are the resources of authorized jobs, with two queries at
// most whatever their number: resources by their lowest agent order, then name;
// agents by order, then name.
func (a *api) resourceResponses(ctx context.Context, jobIDs []uuid.UUID) (map[uuid.UUID][]client.WorkspaceResource, error) {
	out, missing := a.resources.get(jobIDs)
	if len(missing) == 0 {
		return out, nil
	}
	rows, err := a.store.ListResourcesOfJobs(ctx, store.IDs(missing))
	if err != nil || len(rows) == 0 {
		return out, err
	}
	agents, err := a.agentsOfJobs(ctx, missing)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(x, y store.WorkspaceResource) int {
		return cmp.Or(cmp.Compare(lowestOrder(agents[x.ID]), lowestOrder(agents[y.ID])), cmp.Compare(x.Name, y.Name))
	})
	sizes := map[uuid.UUID]int{}
	for _, row := range rows {
		response, err := a.resourceResponse(ctx, row)
		if err != nil {
			return nil, err
		}
		sizes[row.JobID] += len(row.Metadata)
		for _, agent := range agents[row.ID] {
			response.Agents = append(response.Agents, a.agentResponse(agent))
			sizes[row.JobID] += len(agent.Spec)
		}
		out[row.JobID] = append(out[row.JobID], response)
	}
	for id, size := range sizes {
		a.resources.put(id, out[id], size)
	}
	return out, nil
}

// jobResources is resourceResponses for one job.
func (a *api) jobResources(ctx context.Context, jobID uuid.UUID) ([]client.WorkspaceResource, error) {
	all, err := a.resourceResponses(ctx, []uuid.UUID{jobID})
	return all[jobID], err
}

// agent is a row with what Terraform said of it.
type agent struct {
	store.WorkspaceAgent
	spec client.ProvisionedAgent
}

// agentsOfJobs are the agents by resource, in the order in which they are shown.
func (a *api) agentsOfJobs(ctx context.Context, jobIDs []uuid.UUID) (map[uuid.UUID][]agent, error) {
	rows, err := a.store.ListAgentsOfJobs(ctx, store.IDs(jobIDs))
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID][]agent{}
	for _, row := range rows {
		agent, err := a.readAgent(ctx, row)
		if err != nil {
			return nil, err
		}
		out[row.ResourceID] = append(out[row.ResourceID], agent)
	}
	for _, list := range out {
		slices.SortFunc(list, func(x, y agent) int {
			return cmp.Or(cmp.Compare(x.spec.Order, y.spec.Order), cmp.Compare(x.Name, y.Name))
		})
	}
	return out, nil
}

func (a *api) readAgent(ctx context.Context, row store.WorkspaceAgent) (agent, error) {
	out := agent{WorkspaceAgent: row}
	if err := a.openJSON(ctx, row.OrganizationID, store.PurposeAgent, row.Spec, &out.spec); err != nil {
		return agent{}, fmt.Errorf("read agent %s: %w", row.ID, err)
	}
	return out, nil
}

func lowestOrder(agents []agent) int {
	if len(agents) == 0 {
		return math.MaxInt
	}
	return agents[0].spec.Order
}

// agentStatus tells by what was last heard. One that never connected stays
// connecting: while nothing can connect, a timeout would say nothing of it.
func (a *api) agentStatus(row store.WorkspaceAgent) string {
	switch {
	case row.FirstConnectedAt.IsZero():
		return client.AgentConnecting
	case row.DisconnectedAt.After(row.LastConnectedAt.Time), a.now().Sub(row.LastConnectedAt.Time) > agentInactive:
		return client.AgentDisconnected
	}
	return client.AgentConnected
}

func agentHealth(status string) client.WorkspaceAgentHealth {
	if status == client.AgentDisconnected {
		return client.WorkspaceAgentHealth{Reason: "The agent was connected and has not been heard of since."}
	}
	return client.WorkspaceAgentHealth{Healthy: true}
}

// openJSON reads what was sealed for an organization. Of one that was deleted
// there is nothing to read any more, and the value stays empty.
func (a *api) openJSON(ctx context.Context, organizationID uuid.UUID, purpose string, sealed []byte, into any) error {
	plain, err := a.store.Unseal(ctx, organizationID, purpose, sealed)
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}

func (a *api) resourceResponse(ctx context.Context, row store.WorkspaceResource) (client.WorkspaceResource, error) {
	out := client.WorkspaceResource{
		ID: row.ID, CreatedAt: row.CreatedAt.Time, JobID: row.JobID, Transition: row.Transition, Type: row.Type, Name: row.Name,
		Hide: row.Hide, Icon: row.Icon, DailyCost: int(row.DailyCost),
	}
	if err := a.openJSON(ctx, row.OrganizationID, store.PurposeMetadata, row.Metadata, &out.Metadata); err != nil {
		return out, fmt.Errorf("read metadata of resource %s: %w", row.ID, err)
	}
	return out, nil
}

func (a *api) agentResponse(row agent) client.WorkspaceAgent {
	spec, status := row.spec, a.agentStatus(row.WorkspaceAgent)
	out := client.WorkspaceAgent{
		ID: row.ID, CreatedAt: row.CreatedAt.Time, UpdatedAt: row.UpdatedAt.Time,
		FirstConnectedAt: row.FirstConnectedAt.Ptr(), LastConnectedAt: row.LastConnectedAt.Ptr(), DisconnectedAt: row.DisconnectedAt.Ptr(),
		Status: status, Health: agentHealth(status), LifecycleState: "created", Name: row.Name, ResourceID: row.ResourceID,
		InstanceID: spec.InstanceID, Architecture: spec.Architecture, OperatingSystem: spec.OperatingSystem, Directory: spec.Directory,
		EnvironmentVariables: spec.Env, ConnectionTimeoutSeconds: spec.ConnectionTimeoutSeconds, TroubleshootingURL: spec.TroubleshootingURL,
		StartupScriptBehavior: cmp.Or(spec.StartupScriptBehavior, "non-blocking"), DisplayApps: nonNil(spec.DisplayApps), Subsystems: []string{},
		Apps: appResponses(row), Scripts: []client.AgentScript{}, LogSources: []client.AgentLogSource{},
	}
	if out.EnvironmentVariables == nil {
		out.EnvironmentVariables = map[string]string{}
	}
	for i, script := range spec.Scripts {
		response := scriptResponse(row.ID, i, script)
		out.Scripts = append(out.Scripts, response)
		out.LogSources = append(out.LogSources, client.AgentLogSource{
			WorkspaceAgentID: row.ID, ID: response.LogSourceID, CreatedAt: row.CreatedAt.Time, DisplayName: script.DisplayName, Icon: script.Icon,
		})
	}
	return out
}

// partOf names a part of an agent: the same id at every reading.
func partOf(agentID uuid.UUID, kind, name string) uuid.UUID {
	return uuid.NewSHA1(agentID, []byte(kind+":"+name))
}

func scriptResponse(agentID uuid.UUID, index int, s client.ProvisionedScript) client.AgentScript {
	number := strconv.Itoa(index)
	return client.AgentScript{
		ID: partOf(agentID, "script", number), LogSourceID: partOf(agentID, "log-source", number), LogPath: s.LogPath, Script: s.Script, Cron: s.Cron,
		RunOnStart: s.RunOnStart, RunOnStop: s.RunOnStop, StartBlocksLogin: s.StartBlocksLogin, TimeoutSeconds: s.TimeoutSeconds, DisplayName: s.DisplayName,
	}
}

func appResponses(row agent) []client.WorkspaceApp {
	apps := slices.Clone(row.spec.Apps)
	slices.SortStableFunc(apps, func(x, y client.ProvisionedApp) int {
		return cmp.Or(cmp.Compare(x.Order, y.Order), cmp.Compare(x.Slug, y.Slug))
	})
	out := make([]client.WorkspaceApp, len(apps))
	for i, app := range apps {
		out[i] = appResponse(row.ID, app)
	}
	return out
}

func appResponse(agentID uuid.UUID, app client.ProvisionedApp) client.WorkspaceApp {
	out := client.WorkspaceApp{
		ID: partOf(agentID, "app", app.Slug), URL: app.URL, External: app.External, Slug: app.Slug, DisplayName: app.DisplayName, Command: app.Command,
		Icon: app.Icon, Subdomain: app.Subdomain, SharingLevel: cmp.Or(app.Share, "owner"), Health: "disabled", Group: app.Group, Hidden: app.Hidden,
		OpenIn: cmp.Or(app.OpenIn, "slim-window"), Tooltip: app.Tooltip, Statuses: []client.WorkspaceAppStatus{},
	}
	if app.Healthcheck != nil && app.Healthcheck.URL != "" {
		out.Healthcheck, out.Health = app.Healthcheck, "initializing"
	}
	return out
}
