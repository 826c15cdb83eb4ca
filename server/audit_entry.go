package server

import (
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// This file has the entries of the audit log, noun by noun, and the shapes
// that are compared where a response of the API says too much.

func userEntry(action string, u store.User) auditEntry {
	return auditEntry{kind: client.AuditUser, action: action, id: u.ID, target: u.Username, icon: u.AvatarURL}
}

func userChanged(before, after store.User) auditEntry {
	e := userEntry(client.AuditWrite, after)
	e.before, e.after = auditUser(before), auditUser(after)
	return e
}

func auditUser(u store.User) client.User {
	return client.User{ReducedUser: reducedUserResponse(u), OrganizationIDs: []uuid.UUID{}, Roles: siteRoleResponses(u.Roles)}
}

type auditSSHKey struct {
	PublicKey string `json:"public_key"`
}

func organizationEntry(action string, o store.Organization) auditEntry {
	return auditEntry{organization: o.ID, kind: client.AuditOrganization, action: action, id: o.ID, target: o.Name, icon: o.Icon}
}

func organizationCreated(o store.Organization) auditEntry {
	e := organizationEntry(client.AuditCreate, o)
	e.after = organizationResponse(o)
	return e
}

// auditMember has the names of roles only.
type auditMember struct {
	UserID   uuid.UUID `json:"user_id"`
	Username string    `json:"username"`
	Roles    []string  `json:"roles"`
}

func memberEntry(action string, m store.OrganizationMember, u store.User) auditEntry {
	return auditEntry{organization: m.OrganizationID, kind: client.AuditOrganizationMember, action: action, id: u.ID, target: u.Username, icon: u.AvatarURL}
}

func memberCreated(m store.OrganizationMember, u store.User) auditEntry {
	e := memberEntry(client.AuditCreate, m, u)
	e.after = auditMember{u.ID, u.Username, m.Roles}
	return e
}

func memberDeleted(m store.OrganizationMember, u store.User) auditEntry {
	e := memberEntry(client.AuditDelete, m, u)
	e.before = auditMember{u.ID, u.Username, m.Roles}
	return e
}

func memberChanged(before, after store.OrganizationMember, u store.User) auditEntry {
	e := memberEntry(client.AuditWrite, after, u)
	e.before, e.after = auditMember{u.ID, u.Username, nonNil(before.Roles)}, auditMember{u.ID, u.Username, nonNil(after.Roles)}
	return e
}

// shape is a nil interface for a nil row, so that the other side of the
// comparison counts as a creation or a deletion.
func shape[T, S any](row *T, of func(T) S) any {
	if row == nil {
		return nil
	}
	return of(*row)
}

// either is the row that there is, the later one first.
func either[T any](before, after *T) T {
	if after != nil {
		return *after
	}
	return *before
}

func roleChanged(action string, before, after *store.CustomRole) auditEntry {
	r := either(before, after)
	return auditEntry{
		organization: r.OrganizationID, kind: client.AuditCustomRole, action: action, id: roleID(r), target: r.Name,
		before: shape(before, auditRoleOf), after: shape(after, auditRoleOf),
	}
}

// roleID names a role, which has no id of its own, in the audit log.
func roleID(r store.CustomRole) uuid.UUID {
	return uuid.NewSHA1(r.OrganizationID, []byte("custom_role:"+r.Name))
}

type auditRole struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name"`
	Permissions []string `json:"organization_permissions"`
}

func auditRoleOf(r store.CustomRole) auditRole {
	out := auditRole{Name: r.Name, DisplayName: r.DisplayName, Permissions: []string{}}
	permissions, err := decode[[]client.Permission](r.Permissions, "permissions of a role")
	if err != nil {
		return out // the role itself was written from the same value
	}
	for _, p := range permissions {
		out.Permissions = append(out.Permissions, p.ResourceType+":"+p.Action)
	}
	return out
}

// apiKeyEntry names the owner, because ids of keys are no UUIDs; the key's own
// is beside it.
func apiKeyEntry(action string, k store.ApiKey, owner store.User) auditEntry {
	target := k.TokenName
	if target == "" {
		target = owner.Username
	}
	return auditEntry{
		kind: client.AuditAPIKey, action: action, id: owner.ID, target: target, icon: owner.AvatarURL,
		fields: map[string]any{"key_id": k.ID, "owner": owner.Username},
	}
}

type auditAPIKey struct {
	TokenName string    `json:"token_name"`
	LoginType string    `json:"login_type"`
	Scopes    []string  `json:"scopes"`
	AllowList []string  `json:"allow_list"`
	ExpiresAt time.Time `json:"expires_at"`
}

func auditKey(k store.ApiKey) auditAPIKey {
	return auditAPIKey{k.TokenName, k.LoginType, nonNil(k.Scopes), nonNil(k.AllowList), k.ExpiresAt.Time}
}

// provisionerKeyChanged is a change of the organization, because the kinds of
// the API have none for these keys.
func provisionerKeyChanged(org store.Organization, action string, before, after *store.ProvisionerKey) auditEntry {
	e := organizationEntry(client.AuditWrite, org)
	k := either(before, after)
	e.before, e.after = auditOrganizationKeys{shape(before, auditProvisionerKeyOf)}, auditOrganizationKeys{shape(after, auditProvisionerKeyOf)}
	e.fields = map[string]any{"extension": "provisioner_key", "extension_action": action, "provisioner_key_id": k.ID, "provisioner_key_name": k.Name}
	return e
}

type auditOrganizationKeys struct {
	Key any `json:"provisioner_keys"`
}

type auditProvisionerKey struct {
	ID   uuid.UUID         `json:"id"`
	Name string            `json:"name"`
	Tags map[string]string `json:"tags"`

	AllowList []string  `json:"allow_list"`
	ExpiresAt time.Time `json:"expires_at"`
}

func auditProvisionerKeyOf(k store.ProvisionerKey) auditProvisionerKey {
	return auditProvisionerKey{k.ID, k.Name, k.Tags, nonNil(k.AllowList), k.ExpiresAt.Time}
}

// provisionerDaemonChanged is a change of the organization too. Only draining
// is anybody's decision; the rest daemons say of themselves.
func provisionerDaemonChanged(org store.Organization, before, after store.ProvisionerDaemon) auditEntry {
	e := organizationEntry(client.AuditWrite, org)
	e.before, e.after = auditOrganizationDaemons{auditProvisionerDaemonOf(before)}, auditOrganizationDaemons{auditProvisionerDaemonOf(after)}
	action := "drain"
	if after.DrainedAt.IsZero() {
		action = "resume"
	}
	e.fields = map[string]any{"extension": "provisioner_daemon", "extension_action": action, "provisioner_daemon_id": after.ID, "provisioner_daemon_name": after.Name}
	return e
}

// recoveryEntry is a change of the organization: its builds are held, or let go.
func recoveryEntry(org store.Organization, action string, id uuid.UUID, copied, witnessed int64) auditEntry {
	e := organizationEntry(client.AuditWrite, org)
	e.fields = map[string]any{"extension": "recovery", "extension_action": action, "recovery_id": id, "copy_number": copied, "witnessed": witnessed}
	return e
}

// stateRecovered is of a state that an attempt handed in which the database did not know.
func stateRecovered(w store.Workspace, b store.WorkspaceBuild, attempt uuid.UUID, version int64, salvage bool) auditEntry {
	e := stateReplaced(w, b)
	e.fields["extension"], e.fields["recovered_attempt_id"], e.fields["state_version"], e.fields["salvage"] = "recovery", attempt, version, salvage
	return e
}

type auditOrganizationDaemons struct {
	Daemon auditProvisionerDaemon `json:"provisioner_daemons"`
}

type auditProvisionerDaemon struct {
	ID       uuid.UUID `json:"id"`
	Name     string    `json:"name"`
	Draining bool      `json:"draining"`
}

func auditProvisionerDaemonOf(d store.ProvisionerDaemon) auditProvisionerDaemon {
	return auditProvisionerDaemon{d.ID, d.Name, !d.DrainedAt.IsZero()}
}

func templateChanged(action string, before, after *store.Template) auditEntry {
	t := either(before, after)
	return auditEntry{
		organization: t.OrganizationID, kind: client.AuditTemplate, action: action, id: t.ID, target: t.Name, icon: t.Icon,
		before: shape(before, auditTemplateOf), after: shape(after, auditTemplateOf),
	}
}

// auditTemplate has the access lists too, which the response has not.
type auditTemplate struct {
	client.Template
	UserACL  store.StringMap `json:"user_acl"`
	GroupACL store.StringMap `json:"group_acl"`
}

func auditTemplateOf(t store.Template) auditTemplate {
	return auditTemplate{templateResponse(&t, &store.Organization{}), t.UserACL, t.GroupACL}
}

func versionChanged(action string, before, after *store.TemplateVersion) auditEntry {
	v := either(before, after)
	e := auditEntry{
		organization: v.OrganizationID, kind: client.AuditTemplateVersion, action: action, id: v.ID, target: v.Name,
		before: shape(before, auditVersionOf), after: shape(after, auditVersionOf),
	}
	if v.TemplateID != nil {
		e.fields = map[string]any{"template_id": v.TemplateID}
	}
	return e
}

type auditVersion struct {
	Name       string     `json:"name"`
	Message    string     `json:"message"`
	TemplateID *uuid.UUID `json:"template_id"`
	Archived   bool       `json:"archived"`
}

func auditVersionOf(v store.TemplateVersion) auditVersion {
	return auditVersion{v.Name, v.Message, v.TemplateID, v.Archived}
}

func workspaceChanged(action string, before, after *store.Workspace) auditEntry {
	w := either(before, after)
	return auditEntry{
		organization: w.OrganizationID, kind: client.AuditWorkspace, action: action, id: w.ID, target: w.Name,
		before: shape(before, auditWorkspaceOf), after: shape(after, auditWorkspaceOf), fields: map[string]any{"workspace_owner": w.OwnerName},
	}
}

type auditWorkspace struct {
	Name              string     `json:"name"`
	OwnerID           uuid.UUID  `json:"owner_id"`
	TemplateID        uuid.UUID  `json:"template_id"`
	AutostartSchedule string     `json:"autostart_schedule"`
	TTLMS             *int64     `json:"ttl_ms"`
	AutomaticUpdates  string     `json:"automatic_updates"`
	DormantAt         *time.Time `json:"dormant_at"`
	DeletingAt        *time.Time `json:"deleting_at"`
}

func auditWorkspaceOf(w store.Workspace) auditWorkspace {
	return auditWorkspace{w.Name, w.OwnerID, w.TemplateID, w.AutostartSchedule, w.TTLMs, w.AutomaticUpdates, w.DormantAt.Ptr(), w.DeletingAt.Ptr()}
}

// buildEntry says that a build was asked for. The values of its parameters may
// be secrets, so their names are recorded alone.
func buildEntry(w store.Workspace, t store.Template, b store.WorkspaceBuild) auditEntry {
	names := []string{}
	if parameters, err := decode[[]client.BuildParameter](b.Parameters, "build parameters"); err == nil {
		for _, p := range parameters {
			names = append(names, p.Name)
		}
	}
	return auditEntry{
		organization: w.OrganizationID, kind: client.AuditWorkspaceBuild, action: b.Transition, id: b.ID, target: w.Name, icon: t.Icon,
		after: auditBuild{b.TemplateVersionID, b.Transition, b.Orphan, names},
		fields: map[string]any{
			"workspace_id": w.ID, "workspace_name": w.Name, "workspace_owner": w.OwnerName, "build_number": b.BuildNumber, "build_reason": b.Reason,
		},
	}
}

type auditBuild struct {
	TemplateVersionID uuid.UUID `json:"template_version_id"`
	Transition        string    `json:"transition"`
	Orphan            bool      `json:"orphan"`
	Parameters        []string  `json:"rich_parameter_names"`
}

// stateReplaced says that somebody put another Terraform state in place, which
// is full of secrets.
func stateReplaced(w store.Workspace, b store.WorkspaceBuild) auditEntry {
	return auditEntry{
		organization: w.OrganizationID, kind: client.AuditWorkspaceBuild, action: client.AuditWrite, id: b.ID, target: w.Name, secrets: []string{"state"},
		fields: map[string]any{"workspace_id": w.ID, "workspace_name": w.Name, "workspace_owner": w.OwnerName, "build_number": b.BuildNumber},
	}
}

// stateRestored says the same of a version that was put in place again.
func stateRestored(w store.Workspace, b store.WorkspaceBuild, from, version int64) auditEntry {
	e := stateReplaced(w, b)
	e.fields["restored_version"], e.fields["state_version"] = from, version
	return e
}
