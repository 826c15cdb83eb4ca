package server

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// workspaceKeys are the search keys of section 2.4 of the reference.
func workspaceKeys() []string {
	return []string{
		"owner", "user", "name", "template", "template_id", "id", "organization", "status", "has-agent", "healthy", "dormant",
		"last_used_after", "last_used_before", "outdated", "param", "has-ai-task", "has_external_agent",
		"shared", "shared_with_user", "shared_with_group",
	}
}

// readable is where the caller may read workspaces: all of an organization's,
// or only its own ones there, and what others share with it.
type readable struct {
	everywhere    bool        // all of every organization's
	organizations []uuid.UUID // any of these
	all           []uuid.UUID
	own           []uuid.UUID
	actors        []uuid.UUID // the caller and its groups, when shared ones count
	caller        uuid.UUID
	only          []string // ids that a token is narrowed to; nil is no limit
}

// whole: nothing but the organization decides.
func (r readable) whole() bool { return r.only == nil && len(r.all) == len(r.organizations) }

// readableWorkspaces is the set from which every list of workspaces starts.
func (a *api) readableWorkspaces(ctx context.Context, s *search) (readable, error) {
	subject := subjectFrom(ctx)
	r := readable{caller: callerID(ctx), only: subject.Only(authz.Workspace)}
	everywhere, organizations, err := a.searchedOrganizations(ctx, s)
	if err != nil {
		return readable{}, err
	}
	r.everywhere = everywhere
	if everywhere { // asking in each of them would be the same answer as often
		r.all, r.organizations = organizations, organizations
		return r, nil
	}
	for _, id := range organizations {
		object := authz.Object{Type: authz.Workspace, OrganizationID: id}
		if subject.Can(authz.Read, object) {
			r.all = append(r.all, id)
			r.organizations = append(r.organizations, id)
			continue
		}
		groups := a.sharingGroups(subject, id)
		r.actors = append(r.actors, groups...)
		object.OwnerID = r.caller
		own := subject.Can(authz.Read, object)
		if own {
			r.own = append(r.own, id)
		}
		if own || groups != nil {
			r.organizations = append(r.organizations, id)
		}
	}
	if r.actors == nil {
		return r, nil
	}
	r.actors = append(r.actors, r.caller)
	shared, err := a.store.HasSharedWorkspaces(ctx, store.IDs(r.actors))
	if err != nil {
		return readable{}, err
	}
	if !shared { // as for most people, whose list then is one part of an index
		r.actors = nil
	}
	return r, nil
}

// searchedOrganizations are those with workspaces that the caller may read, or
// the one of them that the search names: an index has the order of its list.
func (a *api) searchedOrganizations(ctx context.Context, s *search) (everywhere bool, ids []uuid.UUID, err error) {
	everywhere, ids = subjectFrom(ctx).May(authz.Read, authz.Workspace)
	ref, given := s.text("organization")
	if !given {
		if !everywhere {
			return false, ids, nil
		}
		orgs, err := a.organizations(ctx)
		for _, o := range orgs {
			ids = append(ids, o.ID)
		}
		return true, ids, err
	}
	org, err := a.findOrganization(ctx, ref)
	switch {
	case store.IsNotFound(err):
		return false, nil, nil
	case err != nil:
		return false, nil, err
	case !everywhere && !slices.Contains(ids, org.ID):
		return false, nil, nil
	}
	return false, []uuid.UUID{org.ID}, nil
}

// sharingGroups are the subject's groups in an organization where it may read
// what is shared with it; everybody is in one at least.
func (a *api) sharingGroups(subject *authz.Subject, organizationID uuid.UUID) []uuid.UUID {
	shared := authz.Object{
		Type: authz.Workspace, OrganizationID: organizationID, UserACL: map[string][]authz.Action{subject.ID.String(): {authz.Read}},
	}
	if a.options.DisableWorkspaceSharing || !subject.Can(authz.Read, shared) {
		return nil
	}
	return subject.Organizations[organizationID].Groups
}

// restrict adds the conditions that the list of organizations cannot express.
func (r readable) restrict(f *store.Filter) {
	if len(r.all) < len(r.organizations) {
		condition, args := store.ReadableWorkspaces{All: r.all, Own: r.own, Owner: r.caller, Actors: r.actors}.Condition()
		f.Where(condition, args...)
	}
	if r.only != nil {
		f.Where("w.id IN (SELECT value FROM json_list(?))", store.JSON(r.only))
	}
}

// workspacePage is a part of the list: the caller's favorites, then what
// runs, then by owner and name. Without conditions an index has that order
// already, so a page of a large deployment costs what its own rows cost.
func (a *api) workspacePage(ctx context.Context, f store.Filter, in readable, limit, offset int32) ([]uuid.UUID, error) {
	if !f.Empty() || !in.whole() || (!in.everywhere && len(in.organizations) != 1) {
		return a.store.Filtered(f).ListWorkspaceIDs(ctx, store.ListWorkspaceIDsParams{
			OrganizationIds: store.IDs(in.organizations), ViewerID: in.caller.String(), MaxRows: limit, SkipRows: offset,
		})
	}
	favorites, err := a.favorites(ctx, in)
	if err != nil {
		return nil, err
	}
	count := int32(len(favorites))
	ids := favorites[min(offset, count):]
	ids = ids[:min(limit, int32(len(ids)))]
	rest, skip := limit-int32(len(ids)), max(0, offset-count)
	if rest == 0 {
		return ids, nil
	}
	var others []uuid.UUID
	if in.everywhere {
		others, err = a.store.ListOtherWorkspaceIDs(ctx, store.ListOtherWorkspaceIDsParams{ViewerID: in.caller, MaxRows: rest, SkipRows: skip})
	} else {
		others, err = a.store.ListOtherOrganizationWorkspaceIDs(ctx, store.ListOtherOrganizationWorkspaceIDsParams{
			OrganizationID: in.organizations[0], ViewerID: in.caller, MaxRows: rest, SkipRows: skip,
		})
	}
	return append(ids, others...), err
}

// countWorkspaces is how many the whole list has. Of organizations that may be
// read whole it is known; with conditions the rows are counted.
func (a *api) countWorkspaces(ctx context.Context, f store.Filter, in readable) (int, error) {
	if f.Empty() && in.whole() && in.everywhere {
		n, err := a.store.CountWorkspacesEverywhere(ctx)
		return int(n), err
	}
	if f.Empty() && in.whole() {
		n, err := a.store.CountAllWorkspaces(ctx, store.IDs(in.organizations))
		return int(n), err
	}
	n, err := a.store.Filtered(f).CountWorkspaces(ctx, store.IDs(in.organizations))
	return int(n), err
}

// favorites are the caller's own, in the readable organizations.
func (a *api) favorites(ctx context.Context, in readable) ([]uuid.UUID, error) {
	rows, err := a.store.ListFavoriteWorkspaces(ctx, in.caller)
	ids := []uuid.UUID{}
	for _, row := range rows {
		if slices.Contains(in.organizations, row.OrganizationID) {
			ids = append(ids, row.ID)
		}
	}
	return ids, err
}

// workspaceFilter turns a search into conditions on the row of the workspace.
func (a *api) workspaceFilter(ctx context.Context, s *search, in readable) (store.Filter, error) {
	var f store.Filter
	in.restrict(&f)
	s.readTerm()
	s.whereOwner(&f, in.caller)
	s.whereTemplate(&f)
	s.whereTimes(&f)
	s.whereState(&f)
	s.whereShared(&f, in.caller)
	s.whereParameters(&f)
	if err := s.err(); err != nil {
		return f, err
	}
	return f, a.whereAgents(ctx, s, &f, in)
}

// readTerm reads a bare word as a name, or as owner/name.
func (s *search) readTerm() {
	owner, name, found := strings.Cut(s.term, "/")
	if !found {
		owner, name = "", s.term
	}
	if owner != "" {
		s.values["owner"] = append(s.values["owner"], owner)
	}
	if name != "" {
		s.values["name"] = append(s.values["name"], name)
	}
}

func (s *search) whereOwner(f *store.Filter, caller uuid.UUID) {
	for _, key := range []string{"owner", "user"} {
		owner, given := s.one(key)
		switch {
		case given && owner == client.Me:
			f.Where("w.owner_id = ?", caller)
		case given:
			f.Where("w.owner_name = ?", owner)
		}
	}
	for _, name := range s.values["name"] {
		f.Where(`lower(w.name) LIKE ? ESCAPE '\'`, likePattern(name))
	}
	if ids := s.ids("id"); len(ids) > 0 {
		f.Where("w.id IN (SELECT value FROM json_list(?))", store.IDs(ids))
	}
}

func (s *search) whereTemplate(f *store.Filter) {
	if name, given := s.one("template"); given {
		f.Where("w.template_id IN (SELECT t.id FROM templates t WHERE lower(t.name) = ?)", name)
	}
	if ids := s.ids("template_id"); len(ids) > 0 {
		f.Where("w.template_id IN (SELECT value FROM json_list(?))", store.IDs(ids))
	}
	if outdated, given := s.bool("outdated"); given {
		f.Where("CASE WHEN "+outdatedSQL+" THEN 1 ELSE 0 END = ?", number(outdated))
	}
	if external, given := s.bool("has_external_agent"); given {
		f.Where("EXISTS (SELECT 1 FROM workspace_builds b JOIN template_versions v ON v.id = b.template_version_id WHERE b.id = w.latest_build_id AND v.has_external_agent = (1 = ?))", number(external))
	}
}

const outdatedSQL = `EXISTS (SELECT 1 FROM workspace_builds b JOIN templates t ON t.id = w.template_id
	WHERE b.id = w.latest_build_id AND b.template_version_id <> t.active_version_id)`

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s *search) whereTimes(f *store.Filter) {
	if after, given := s.time("last_used_after"); given {
		f.Where("w.last_used_at > ?", store.At(after))
	}
	if before, given := s.time("last_used_before"); given {
		f.Where("w.last_used_at < ?", store.At(before))
	}
	if dormant, given := s.bool("dormant"); given {
		condition := "w.dormant_at IS NULL"
		if dormant {
			condition = "w.dormant_at IS NOT NULL"
		}
		f.Where(condition)
	}
}

func (s *search) whereState(f *store.Filter) {
	known := []string{
		client.JobPending, client.WorkspaceStarting, client.WorkspaceRunning, client.WorkspaceStopping, client.WorkspaceStopped,
		client.JobFailed, client.JobCanceling, client.JobCanceled, client.WorkspaceDeleting, client.WorkspaceDeleted,
	}
	statuses := s.list("status")
	for _, status := range statuses {
		if !slices.Contains(known, status) {
			s.refuse("status", "%q is not one of %s", status, strings.Join(known, ", "))
		}
	}
	if len(statuses) > 0 {
		f.Where("w.latest_status IN (SELECT value FROM json_list(?))", store.JSON(statuses))
	}
	if wanted, given := s.bool("has-ai-task"); given && wanted {
		f.Where("1 = 0") // there are none
	}
}

// whereShared looks at the access lists themselves: a user is not found by
// the groups they are in. A group is named alone, or as organization/group.
func (s *search) whereShared(f *store.Filter, caller uuid.UUID) {
	if wanted, given := s.bool("shared"); given {
		f.Where("CASE WHEN EXISTS (SELECT 1 FROM workspace_acl a WHERE a.workspace_id = w.id) THEN 1 ELSE 0 END = ?", number(wanted))
	}
	if user, given := s.one("shared_with_user"); given {
		if user == client.Me {
			user = caller.String()
		}
		f.Where(`EXISTS (SELECT 1 FROM workspace_acl a JOIN users u ON u.id = a.actor_id
			WHERE a.workspace_id = w.id AND a.actor_type = 'user' AND (u.id = ? OR lower(u.username) = ?))`, user, user)
	}
	if group, given := s.one("shared_with_group"); given {
		f.Where(`EXISTS (SELECT 1 FROM workspace_acl a JOIN groups g ON g.id = a.actor_id JOIN organizations o ON o.id = g.organization_id
			WHERE a.workspace_id = w.id AND a.actor_type = 'group' AND (g.id = ? OR lower(g.name) = ? OR lower(o.name) || '/' || lower(g.name) = ?))`, group, group, group)
	}
}

// whereParameters searches the values of the latest build, which are kept as
// JSON that is always written the same way.
func (s *search) whereParameters(f *store.Filter) {
	for _, term := range s.values["param"] {
		name, value, valued := strings.Cut(term, "=")
		text := store.JSON(client.BuildParameter{Name: name, Value: value})
		if !valued {
			text = strings.TrimSuffix(text, `"}`)
		}
		f.Where(`EXISTS (SELECT 1 FROM workspace_builds b WHERE b.id = w.latest_build_id AND lower(b.parameters) LIKE ? ESCAPE '\')`, likePattern(text))
	}
}

// whereAgents handles what only the agents' clocks can tell: it looks at the
// agents of all readable workspaces and narrows the list to those that match.
func (a *api) whereAgents(ctx context.Context, s *search, f *store.Filter, in readable) error {
	status, byStatus := s.oneOf("has-agent", client.AgentConnected, client.AgentConnecting, client.AgentDisconnected, client.AgentTimeout)
	healthy, byHealth := s.bool("healthy")
	if err := s.err(); err != nil || (!byStatus && !byHealth) {
		return err
	}
	latest, err := a.store.ListLatestJobs(ctx, store.IDs(in.organizations))
	if err != nil {
		return err
	}
	jobs := make([]uuid.UUID, len(latest))
	for i, row := range latest {
		jobs[i] = row.JobID
	}
	resources, err := a.resourceResponses(ctx, jobs)
	if err != nil {
		return err
	}
	ids := []uuid.UUID{}
	for _, row := range latest {
		if byStatus && !hasAgent(resources[row.JobID], status) {
			continue
		}
		if !byHealth || workspaceHealth(resources[row.JobID]).Healthy == healthy {
			ids = append(ids, row.ID)
		}
	}
	f.Where("w.id IN (SELECT value FROM json_list(?))", store.IDs(ids))
	return nil
}

func hasAgent(resources []client.WorkspaceResource, status string) bool {
	return slices.ContainsFunc(resources, func(r client.WorkspaceResource) bool {
		return slices.ContainsFunc(r.Agents, func(agent client.WorkspaceAgent) bool { return agent.Status == status })
	})
}
