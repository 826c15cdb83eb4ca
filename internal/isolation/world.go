package isolation

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

// password of the throwaway users, who are deleted in the end.
const passwordForm = "Isolation-%s-9"

// world is what a run has made.
type world struct {
	options Options
	http    *http.Client
	api     *client.Client
	owner   credential
	// mark is in the name of everything that the victims own, and in no other;
	// userMark in the names of their users.
	mark, userMark string

	home      client.Organization
	attackers []credential
	homeKey   credential
	// waiting is a version of the attackers whose import nobody takes.
	waiting uuid.UUID

	victim client.Organization
	admin  *client.Client
	// adminSession and memberSession own the victim's objects.
	adminSession, memberSession credential
	member                      client.User
	memberClient                *client.Client
	daemon                      *client.Client
	daemonKey                   credential
	daemonID                    uuid.UUID
	file                        uuid.UUID
	template                    client.Template
	version                     client.TemplateVersion
	workspace                   client.Workspace
	things                      map[string]string

	// What is taken away in the end; made are names of organizations.
	made          []string
	users         []uuid.UUID
	organizations []client.Organization
}

func newWorld(o Options) (*world, error) {
	header := o.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set(client.HeaderBypassRateLimit, "true")
	api, err := client.New(o.URL, client.Options{Token: o.Token, Header: header})
	if err != nil {
		return nil, err
	}
	owner := session("an owner of the deployment", o.Token)
	owner.header.Set(client.HeaderBypassRateLimit, "true")
	return &world{
		options: o, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}, api: api, owner: owner,
		mark: "v" + random(), userMark: "u" + random(), things: map[string]string{},
	}, nil
}

func random() string { return strings.ReplaceAll(uuid.NewString(), "-", "")[:12] }

// organization makes a throwaway one.
func (w *world) organization(ctx context.Context, name string) (client.Organization, error) {
	org, err := w.api.CreateOrganization(ctx, client.CreateOrganizationRequest{Name: name, Description: "made by a check of isolation, and to be deleted"})
	if err == nil {
		w.organizations = append(w.organizations, org)
	}
	return org, err
}

// person makes a throwaway user of an organization, with a session.
func (w *world) person(ctx context.Context, org client.Organization, name string, roles ...string) (client.User, credential, error) {
	active := client.UserActive
	user, err := w.api.CreateUser(ctx, client.CreateUserRequest{
		Email: name + "@example.com", Username: name, Password: fmt.Sprintf(passwordForm, w.userMark), UserStatus: &active, OrganizationIDs: []uuid.UUID{org.ID},
	})
	if err != nil {
		return user, credential{}, err
	}
	w.users = append(w.users, user.ID)
	if len(roles) > 0 {
		if _, err := w.api.UpdateOrganizationMemberRoles(ctx, org.ID.String(), user.ID.String(), client.UpdateRolesRequest{Roles: roles}); err != nil {
			return user, credential{}, err
		}
	}
	key, err := w.api.CreateAPIKey(ctx, user.ID.String())
	if err != nil {
		return user, credential{}, err
	}
	caller := session(strings.Join(append([]string{"a member"}, roles...), " "), key.Key)
	// Who has been here once is shown otherwise than who never was.
	if seen := w.call(ctx, request{method: http.MethodGet, path: "/users/me", as: caller}); !seen.good() {
		return user, caller, fmt.Errorf("sign in as %s: %s", caller.name, seen)
	}
	return user, caller, nil
}

func (w *world) clientOf(c credential) (*client.Client, error) {
	header := c.header.Clone()
	for name, values := range w.options.Header {
		header[name] = values
	}
	return client.New(w.options.URL, client.Options{Header: header})
}

// makeAttackers makes an organization with a holder of every built-in role.
func (w *world) makeAttackers(ctx context.Context) error {
	var err error
	if w.home, err = w.organization(ctx, "h"+random()); err != nil {
		return err
	}
	roles, err := w.api.OrganizationRoles(ctx, w.home.ID.String())
	if err != nil {
		return err
	}
	names := []string{""}
	for _, role := range roles {
		names = append(names, role.Name)
	}
	for _, name := range names {
		var held []string
		if name != "" {
			held = []string{name}
		}
		_, attacker, err := w.person(ctx, w.home, "a"+random(), held...)
		if err != nil {
			return err
		}
		attacker.readsUsers = slices.ContainsFunc(roles, func(r client.AssignableRole) bool {
			return r.Name == name && slices.Contains(r.SitePermissions, client.Permission{ResourceType: "user", Action: "read"})
		})
		w.attackers = append(w.attackers, attacker)
	}
	if w.homeKey, err = w.provisionerKey(ctx, w.api, w.home, "k"+random()); err != nil {
		return err
	}
	return w.makeWaiting(ctx)
}

// makeWaiting lets a job of the attackers wait, which tells its place in the
// queue: what others wait for must not move it.
func (w *world) makeWaiting(ctx context.Context) error {
	file, err := w.api.Upload(ctx, client.ContentTypeTar, bytes.NewReader(archive(random())))
	if err != nil {
		return err
	}
	v, err := w.api.CreateTemplateVersion(ctx, w.home.ID.String(), client.CreateTemplateVersionRequest{StorageMethod: client.StorageFile, FileID: &file.ID, Provisioner: client.ProvisionerTerraform})
	if err == nil && v.Job.QueuePosition != 1 {
		err = fmt.Errorf("the only job of an organization is number %d of its queue", v.Job.QueuePosition)
	}
	w.waiting = v.ID
	return err
}

func (w *world) provisionerKey(ctx context.Context, c *client.Client, org client.Organization, name string) (credential, error) {
	key, err := c.CreateProvisionerKey(ctx, org.ID.String(), client.CreateProvisionerKeyRequest{Name: name})
	if err != nil {
		return credential{}, err
	}
	cred := credential{name: "a daemon", header: http.Header{client.HeaderDaemonKey: {key.Key}}}
	user, err := w.clientOf(cred)
	if err != nil {
		return credential{}, err
	}
	_, err = user.PresentedProvisionerKey(ctx) // its first use would show in lists that are compared
	return cred, err
}

// attackersOf are those who could call an operation at all.
func (w *world) attackersOf(op Operation) []credential {
	switch op.Permission {
	case "daemon":
		return []credential{w.homeKey}
	case "attempt":
		return []credential{{name: "a guess", header: http.Header{client.HeaderAttempt: {uuid.NewString()}}}}
	}
	return w.attackers
}

// makeVictim makes one of everything, named after the mark.
func (w *world) makeVictim(ctx context.Context) error {
	var err error
	if w.victim, err = w.organization(ctx, w.mark); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{w.makePeople, w.makeDaemon, w.makeTemplate, w.makeWorkspace, w.makeRest} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) makePeople(ctx context.Context) error {
	_, admin, err := w.person(ctx, w.victim, w.userMark+"-admin", client.RoleOrgAdmin)
	if err != nil {
		return err
	}
	if w.member, w.memberSession, err = w.person(ctx, w.victim, w.userMark+"-member"); err != nil {
		return err
	}
	w.adminSession = admin
	if w.admin, err = w.clientOf(admin); err != nil {
		return err
	}
	w.memberClient, err = w.clientOf(w.memberSession)
	return err
}

func (w *world) makeDaemon(ctx context.Context) error {
	var err error
	w.things["key"] = "key-" + w.mark
	if w.daemonKey, err = w.provisionerKey(ctx, w.admin, w.victim, w.things["key"]); err != nil {
		return err
	}
	if w.daemon, err = w.clientOf(w.daemonKey); err != nil {
		return err
	}
	w.daemonID, err = w.register(ctx, "daemon-"+w.mark)
	return err
}

func (w *world) register(ctx context.Context, name string) (uuid.UUID, error) {
	registered, err := w.daemon.RegisterDaemon(ctx, client.RegisterDaemonRequest{
		Name: name, Provisioners: []string{client.ProvisionerTerraform}, Version: "v0.0.0", APIVersion: "1.0", HostID: w.mark,
	})
	return registered.ID, err
}

func (w *world) makeTemplate(ctx context.Context) error {
	file, err := w.admin.Upload(ctx, client.ContentTypeTar, bytes.NewReader(archive(w.mark)))
	if err != nil {
		return err
	}
	w.file = file.ID
	v, err := w.importVersion(ctx, nil)
	if err != nil {
		return err
	}
	w.template, err = w.admin.CreateTemplate(ctx, w.victim.ID.String(), client.CreateTemplateRequest{Name: "t-" + w.mark, VersionID: v.ID})
	if err != nil {
		return err
	}
	// One that has a version before it.
	w.version, err = w.importVersion(ctx, &w.template.ID)
	return err
}

// pendingVersion asks for an import that nobody has taken yet.
func (w *world) pendingVersion(ctx context.Context, template *uuid.UUID) (client.TemplateVersion, error) {
	return w.admin.CreateTemplateVersion(ctx, w.victim.ID.String(), client.CreateTemplateVersionRequest{
		TemplateID: template, StorageMethod: client.StorageFile, FileID: &w.file, Provisioner: client.ProvisionerTerraform, Name: "n-" + w.mark + "-" + random()[:6],
	})
}

func (w *world) importVersion(ctx context.Context, template *uuid.UUID) (client.TemplateVersion, error) {
	v, err := w.pendingVersion(ctx, template)
	if err != nil {
		return v, err
	}
	return v, w.finish(ctx, v.Job.ID, client.CompleteJobRequest{Import: &client.ImportResult{Readme: w.mark}})
}

// take acquires one job; what waits before it, a proof has left behind.
func (w *world) take(ctx context.Context, id uuid.UUID) (*client.AcquiredJob, *client.Attempt, error) {
	for {
		job, err := w.daemon.AcquireJob(ctx, w.daemonID, client.AcquireJobRequest{RequestID: uuid.New()})
		if err == nil && job == nil {
			err = errors.New("the job does not reach the daemon that is played")
		}
		if err != nil {
			return nil, nil, err
		}
		attempt := w.daemon.Attempt(job.AttemptID, job.Secret)
		if job.ID == id {
			w.things["attempt"] = job.AttemptID.String()
			return job, attempt, nil
		}
		if _, err := attempt.Fail(ctx, client.FailJobRequest{Error: "left behind", EngineDead: true}); err != nil {
			return nil, nil, err
		}
	}
}

// finish takes a job and ends it well.
func (w *world) finish(ctx context.Context, id uuid.UUID, result client.CompleteJobRequest) error {
	job, attempt, err := w.take(ctx, id)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{attempt.Confirm, attempt.StartEngine} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if result.Build != nil {
		state := []byte(`{"version":4,"terraform_version":"1.0.0","serial":1,"lineage":"` + job.ID.String() + `","outputs":{},"resources":[]}`)
		sum := sha256.Sum256(state)
		result.State = &client.StateRef{N: 1, SHA256: hex.EncodeToString(sum[:])}
		if err := attempt.PutState(ctx, *result.State, state); err != nil {
			return err
		}
	}
	_, err = attempt.Complete(ctx, result)
	return err
}

func (w *world) built() client.CompleteJobRequest {
	return client.CompleteJobRequest{Build: &client.BuildResult{Resources: []client.ProvisionedResource{{
		Address: "thing." + w.mark, Type: "thing", Name: "r-" + w.mark,
		Agents: []client.ProvisionedAgent{{ID: uuid.NewString(), Name: "main", Token: uuid.NewString(), Auth: "token", OperatingSystem: "linux", Architecture: "amd64"}},
	}}}}
}

// newWorkspace makes one of the member's; its first build waits.
func (w *world) newWorkspace(ctx context.Context) (client.Workspace, error) {
	return w.memberClient.CreateWorkspace(ctx, w.victim.ID.String(), client.Me, client.CreateWorkspaceRequest{TemplateID: &w.template.ID, Name: "w" + random() + w.mark})
}

func (w *world) runningWorkspace(ctx context.Context) (client.Workspace, error) {
	workspace, err := w.newWorkspace(ctx)
	if err != nil {
		return workspace, err
	}
	if err := w.finish(ctx, workspace.LatestBuild.Job.ID, w.built()); err != nil {
		return workspace, err
	}
	return w.memberClient.Workspace(ctx, workspace.ID)
}

func (w *world) makeWorkspace(ctx context.Context) error {
	var err error
	if w.workspace, err = w.runningWorkspace(ctx); err != nil {
		return err
	}
	resources := w.workspace.LatestBuild.Resources
	if len(resources) == 0 || len(resources[0].Agents) == 0 {
		return errors.New("the build has no agent")
	}
	w.things["agent"] = resources[0].Agents[0].ID.String()
	return nil
}

func (w *world) makeRest(ctx context.Context) error {
	if _, err := w.admin.CreateRole(ctx, w.victim.ID.String(), client.CustomRoleRequest{Name: "r-" + w.mark}); err != nil {
		return err
	}
	if err := w.makeGroup(ctx); err != nil {
		return err
	}
	token, err := w.memberClient.CreateToken(ctx, client.Me, client.CreateTokenRequest{TokenName: "tok-" + w.mark})
	if err != nil {
		return err
	}
	w.things["token"], _, _ = strings.Cut(token.Key, "-")
	dry, err := w.memberClient.CreateDryRun(ctx, w.version.ID, client.CreateDryRunRequest{WorkspaceName: "dry"})
	if err != nil {
		return err
	}
	w.things["dryRun"] = dry.ID.String()
	if err := w.finish(ctx, dry.ID, client.CompleteJobRequest{DryRun: &client.DryRunResult{}}); err != nil {
		return err
	}
	_, err = w.pendingVersion(ctx, nil) // it waits beside the attackers' own
	return err
}

// makeGroup makes one that may use the template and the workspace.
func (w *world) makeGroup(ctx context.Context) error {
	g, err := w.admin.CreateGroup(ctx, w.victim.ID.String(), client.CreateGroupRequest{Name: "g-" + w.mark})
	if err != nil {
		return err
	}
	w.things["group"] = g.ID.String()
	if _, err := w.admin.UpdateGroup(ctx, g.ID, client.UpdateGroupRequest{AddUsers: []string{w.member.ID.String()}}); err != nil {
		return err
	}
	listed := map[string]string{g.ID.String(): client.TemplateRoleUse}
	if err := w.admin.UpdateTemplateACL(ctx, w.template.ID, client.UpdateTemplateACLRequest{GroupPerms: listed}); err != nil {
		return err
	}
	return w.memberClient.UpdateWorkspaceACL(ctx, w.workspace.ID, client.UpdateWorkspaceACLRequest{GroupRoles: listed})
}

func archive(comment string) []byte {
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	text := []byte("# " + comment + "\nresource \"terraform_data\" \"thing\" {}\n")
	// Writing to memory does not fail.
	_ = out.WriteHeader(&tar.Header{Name: "main.tf", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
	_, _ = out.Write(text)
	_ = out.Close()
	return b.Bytes()
}

// secrets are what no answer to an attacker may hold.
func (w *world) secrets(userToo bool) map[string]string {
	out := map[string]string{
		"the mark": w.mark, "the organization": w.victim.ID.String(), "the template": w.template.ID.String(), "the version": w.version.ID.String(),
		"the workspace": w.workspace.ID.String(), "the build": w.workspace.LatestBuild.ID.String(), "the daemon": w.daemonID.String(),
		"the import": w.version.Job.ID.String(), "the build's job": w.workspace.LatestBuild.Job.ID.String(), "the agent": w.things["agent"], "the group": w.things["group"],
	}
	if userToo {
		out["a user's name"], out["a user"] = w.userMark, w.member.ID.String()
	}
	return out
}

// marked names what an answer holds that it must not, apart from what the
// caller has said.
func (w *world) marked(a answer, v values, attacker credential) string {
	body := normal(a, v.said()).body
	secrets := w.secrets(!attacker.readsUsers)
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if strings.Contains(body, secrets[name]) {
			return name
		}
	}
	return ""
}

// clear takes everything away again.
func (w *world) clear(ctx context.Context) error {
	var errs []error
	if w.waiting != uuid.Nil {
		errs = append(errs, w.api.CancelTemplateVersion(ctx, w.waiting))
	}
	if w.daemon != nil {
		errs = append(errs, w.deleteWorkspaces(ctx))
	}
	for _, org := range w.organizations {
		errs = append(errs, w.deleteOrganization(ctx, org))
	}
	for _, id := range w.users {
		if err := w.api.DeleteUser(ctx, id.String()); err != nil && !client.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	for _, org := range w.organizations {
		w.made = append(w.made, org.ID.String())
	}
	for _, org := range w.made {
		if err := w.api.DeleteOrganization(ctx, org); err != nil && !client.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take the throwaway organizations away: %w", err)
	}
	return nil
}

// deleteWorkspaces builds them away, as the daemon that takes what waits.
func (w *world) deleteWorkspaces(ctx context.Context) error {
	list, err := w.api.Workspaces(ctx, client.WorkspacesRequest{Query: "organization:" + w.victim.ID.String()})
	if err != nil {
		return err
	}
	if w.daemonID, err = w.register(ctx, "daemon-"+w.mark); err != nil {
		return err
	}
	for _, workspace := range list.Workspaces {
		if err := w.deleteWorkspace(ctx, workspace.ID); err != nil {
			return fmt.Errorf("delete workspace %s: %w", workspace.Name, err)
		}
	}
	return nil
}

// deleteWorkspace builds a workspace away. The server stops dormant ones by
// itself, so a build may come in between; it is canceled then.
func (w *world) deleteWorkspace(ctx context.Context, id uuid.UUID) error {
	for tries := 1; ; tries++ {
		workspace, err := w.api.Workspace(ctx, id)
		if err != nil {
			return err
		}
		if !workspace.LatestBuild.Job.Ended() {
			if err := w.api.CancelWorkspaceBuild(ctx, workspace.LatestBuild.ID); err != nil {
				return err
			}
		}
		build, err := w.api.CreateWorkspaceBuild(ctx, id, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete})
		if client.StatusCode(err) == http.StatusConflict && tries < 5 {
			continue
		}
		if err != nil {
			return err
		}
		return w.finish(ctx, build.Job.ID, client.CompleteJobRequest{Build: &client.BuildResult{Empty: true}})
	}
}

func (w *world) deleteOrganization(ctx context.Context, org client.Organization) error {
	templates, err := w.api.OrganizationTemplates(ctx, org.ID.String())
	if client.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range templates {
		if err := w.api.DeleteTemplate(ctx, t.ID); err != nil {
			return err
		}
	}
	groups, err := w.api.OrganizationGroups(ctx, org.ID.String())
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.IsEveryone() {
			continue
		}
		if err := w.api.DeleteGroup(ctx, g.ID); err != nil {
			return err
		}
	}
	keys, err := w.api.ProvisionerKeys(ctx, org.ID.String())
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := w.api.DeleteProvisionerKey(ctx, org.ID.String(), k.Name); err != nil {
			return err
		}
	}
	return nil
}
