package isolation

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

// values are what stands for the parameters of a path.
type values map[string]string

// said are the values that a caller sent, which may come back.
func (v values) said() []string {
	var out []string
	for _, value := range v {
		out = append(out, value)
	}
	return out
}

type bodyForm int

const (
	bodyNone bodyForm = iota
	bodyEmptyObject
	bodyMalformed
	bodyValid
)

// rule says how to call one operation. Every one that writes needs a rule;
// one that only reads needs it where the defaults do not do.
type rule struct {
	// given: there is a rule.
	given bool
	// body is a valid one, raw one that is no JSON; neither is an empty one.
	body func(values) any
	raw  func(values) string
	// query is what follows the question mark.
	query func(values) string
	// fresh makes objects for the proof alone, because it takes them away or
	// changes what other rows stand on.
	fresh func(context.Context, *world) (values, *credential, error)
	// accepted are answers that prove as much as a success.
	accepted []int
	// refused says why nobody can do it.
	refused string
	// names: the body names objects, so that it matters in the caller's own
	// organization, or without any, too.
	names bool
	// logsCallers: the list has the callers' own refused calls in it, so it is
	// compared before they make any.
	logsCallers bool
}

func (r rule) bodies(op Operation) []bodyForm {
	if !op.writes() {
		return []bodyForm{bodyNone}
	}
	return []bodyForm{bodyValid, bodyNone, bodyEmptyObject, bodyMalformed}
}

// pair is a call for what exists and its twin for what does not.
type pair struct {
	there, nowhere values
	// uncomparable: the caller may know what exists here; only what the
	// answer holds is looked at.
	uncomparable bool
	// path, when set, makes the path instead of the operation.
	path func(values) string
}

// object is the victim's value for a parameter of an operation.
func (w *world) object(op Operation, name string) (string, error) {
	switch name {
	case "organization":
		return w.victim.ID.String(), nil
	case "user":
		return w.member.ID.String(), nil
	case "group":
		return w.things["group"], nil
	case "groupName":
		return "g-" + w.mark, nil
	case "role":
		return "r-" + w.mark, nil
	case "template":
		if strings.HasPrefix(op.Path, "/organizations/") {
			return w.template.Name, nil
		}
		return w.template.ID.String(), nil
	case "templateversion":
		return w.version.ID.String(), nil
	case "version":
		return w.version.Name, nil
	case "workspace":
		return w.workspace.ID.String(), nil
	case "build":
		return w.workspace.LatestBuild.ID.String(), nil
	case "number":
		return "1", nil
	case "agent":
		return w.things["agent"], nil
	case "file":
		return w.file.String(), nil
	case "daemon":
		return w.daemonID.String(), nil
	case "attempt":
		return w.things["attempt"], nil
	case "keyid":
		return w.things["token"], nil
	case "keyname":
		return "tok-" + w.mark, nil
	case "id", "anything", "lost":
		return uuid.NewString(), nil
	case "job":
		if strings.Contains(op.Path, "dry-run") {
			return w.things["dryRun"], nil
		}
		return w.version.Job.ID.String(), nil
	case "name":
		switch {
		case strings.Contains(op.Path, "/provisionerkeys/"):
			return w.things["key"], nil
		case strings.Contains(op.Path, "/organizations/{name}"):
			return w.victim.Name, nil
		case strings.Contains(op.Path, "/workspace/{name}"):
			return w.workspace.Name, nil
		}
	}
	return "", fmt.Errorf("%s: nothing is known to stand for {%s}: add it to internal/isolation/rules.go", op, name)
}

// missing is a value of the same form that stands for nothing.
func missing(value string) string {
	if _, err := uuid.Parse(value); err == nil {
		return uuid.NewString()
	}
	switch {
	case value == "1":
		return value
	case len(value) == 10 && !strings.Contains(value, "-"):
		return random()[:10]
	}
	return "x" + random()
}

// everything is what exists, for all names that bodies use.
func (w *world) everything(op Operation) values {
	v := values{
		"template_id": w.template.ID.String(), "version_id": w.version.ID.String(), "file_id": w.file.String(), "user_id": w.member.ID.String(),
		"username": w.member.Username, "workspace_id": w.workspace.ID.String(), "group_id": w.things["group"], "new_name": "n" + random(),
	}
	for _, name := range op.parameters() {
		value, err := w.object(op, name)
		if err == nil {
			v[name] = value
		}
	}
	return v
}

// pairs are the calls to compare: everything the victim's against everything
// nowhere, and in the caller's own organization too.
func (w *world) pairs(op Operation, rule rule, attacker credential) []pair {
	there := w.everything(op)
	nowhere := values{}
	for name, value := range there {
		nowhere[name] = missing(value)
	}
	_, ofUser := there["user"]
	if ofUser && attacker.readsUsers {
		// That the user exists is no secret; what they have is.
		nowhere["user"], nowhere["user_id"], nowhere["username"] = there["user"], there["user_id"], there["username"]
	}
	known := aboutUser(op) && attacker.readsUsers
	pairs := []pair{{there: there, nowhere: nowhere, uncomparable: known}}
	if ofUser && !attacker.readsUsers {
		pairs = append(pairs, pair{there: with(there, "user", w.member.Username), nowhere: with(nowhere, "user", "x"+random())})
	}
	if _, ok := there["organization"]; !ok {
		return pairs
	}
	pairs = append(pairs, pair{there: with(there, "organization", w.victim.Name), nowhere: with(nowhere, "organization", "x"+random())})
	if (len(op.parameters()) > 1 || rule.names) && !joins[op.String()] {
		home := w.home.ID.String()
		pairs = append(pairs, pair{there: with(there, "organization", home), nowhere: with(nowhere, "organization", home)})
	}
	return pairs
}

// joins are the ways in which an administrator brings a user who is no secret
// into an organization; that is no leak.
var joins = map[string]bool{"POST /organizations/{organization}/members/{user}": true}

// aboutUser: nothing but the user is asked for.
func aboutUser(op Operation) bool {
	names := op.parameters()
	return len(names) == 1 && names[0] == "user"
}

func with(v values, name, value string) values {
	out := values{}
	for n, old := range v {
		out[n] = old
	}
	out[name] = value
	return out
}

// provable are the values and the callers with which an operation must succeed.
func (w *world) provable(ctx context.Context, op Operation, rule rule) (values, []credential, error) {
	v := w.everything(op)
	callers := []credential{w.adminSession, w.memberSession, w.owner}
	switch op.Permission {
	case "daemon":
		callers = []credential{w.daemonKey}
	case "attempt":
		callers = nil
	}
	if rule.fresh == nil {
		return v, callers, nil
	}
	fresh, caller, err := rule.fresh(ctx, w)
	if err != nil {
		return nil, nil, fmt.Errorf("make what is to be called: %w", err)
	}
	for name, value := range fresh {
		v[name] = value
	}
	if caller != nil {
		callers = []credential{*caller}
	}
	return v, callers, nil
}

type fields = map[string]any

func body(make func(values) any) rule         { return rule{given: true, body: make} }
func namesObjects(make func(values) any) rule { return rule{given: true, body: make, names: true} }
func fixed(f fields) rule                     { return body(func(values) any { return f }) }
func plain() rule                             { return rule{given: true} }

func (r rule) on(fresh func(context.Context, *world) (values, *credential, error)) rule {
	r.fresh = fresh
	return r
}

func (r rule) accepting(statuses ...int) rule {
	r.accepted = statuses
	return r
}

func asked(query func(values) string) rule { return rule{query: query} }
func refused(why string) rule              { return rule{given: true, refused: why} }

// Objects that a proof makes for itself.

func freshMember(ctx context.Context, w *world) (values, *credential, error) {
	user, _, err := w.person(ctx, w.victim, w.userMark+"-"+random()[:6])
	return values{"user": user.ID.String(), "username": user.Username}, &w.owner, err
}

func freshOutsider(ctx context.Context, w *world) (values, *credential, error) {
	user, _, err := w.person(ctx, w.home, w.userMark+"-"+random()[:6])
	return values{"user": user.ID.String()}, nil, err
}

func freshKey(ctx context.Context, w *world) (values, *credential, error) {
	name := "k" + random()
	_, err := w.provisionerKey(ctx, w.admin, w.victim, name)
	return values{"name": name}, nil, err
}

func freshRole(ctx context.Context, w *world) (values, *credential, error) {
	name := "r" + random()
	_, err := w.admin.CreateRole(ctx, w.victim.ID.String(), client.CustomRoleRequest{Name: name})
	return values{"role": name}, nil, err
}

func freshGroup(ctx context.Context, w *world) (values, *credential, error) {
	g, err := w.admin.CreateGroup(ctx, w.victim.ID.String(), client.CreateGroupRequest{Name: "g" + random()})
	return values{"group": g.ID.String()}, nil, err
}

func freshSession(ctx context.Context, w *world) (values, *credential, error) {
	key, err := w.memberClient.CreateAPIKey(ctx, client.Me)
	id, _, _ := strings.Cut(key.Key, "-")
	return values{"keyid": id}, nil, err
}

// noteOrganization says which organization a proof makes, to be deleted.
func noteOrganization(_ context.Context, w *world) (values, *credential, error) {
	name := "n" + random()
	w.made = append(w.made, name)
	return values{"new_name": name}, nil, nil
}

func freshOrganization(ctx context.Context, w *world) (values, *credential, error) {
	org, err := w.organization(ctx, "o"+random())
	return values{"organization": org.ID.String()}, nil, err
}

func freshVersion(ctx context.Context, w *world) (values, *credential, error) {
	v, err := w.importVersion(ctx, nil)
	return values{"templateversion": v.ID.String(), "version_id": v.ID.String()}, nil, err
}

func freshOldVersion(ctx context.Context, w *world) (values, *credential, error) {
	v, err := w.importVersion(ctx, &w.template.ID)
	return values{"templateversion": v.ID.String(), "version_id": v.ID.String()}, nil, err
}

func freshArchivedVersion(ctx context.Context, w *world) (values, *credential, error) {
	v, _, err := freshOldVersion(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	id, err := uuid.Parse(v["templateversion"])
	if err != nil {
		return nil, nil, err
	}
	return v, nil, w.admin.SetTemplateVersionArchived(ctx, id, true)
}

func freshPendingVersion(ctx context.Context, w *world) (values, *credential, error) {
	v, err := w.pendingVersion(ctx, nil)
	return values{"templateversion": v.ID.String()}, nil, err
}

func freshTemplate(ctx context.Context, w *world) (values, *credential, error) {
	v, err := w.importVersion(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	t, err := w.admin.CreateTemplate(ctx, w.victim.ID.String(), client.CreateTemplateRequest{Name: "t" + random(), VersionID: v.ID})
	return values{"template": t.ID.String()}, nil, err
}

func freshDryRun(ctx context.Context, w *world) (values, *credential, error) {
	job, err := w.memberClient.CreateDryRun(ctx, w.version.ID, client.CreateDryRunRequest{WorkspaceName: "dry"})
	return values{"job": job.ID.String()}, nil, err
}

func freshWorkspace(ctx context.Context, w *world) (values, *credential, error) {
	workspace, err := w.runningWorkspace(ctx)
	return values{"workspace": workspace.ID.String(), "build": workspace.LatestBuild.ID.String(), "name": workspace.Name}, nil, err
}

// freshStates is a workspace with two states, of which the first can be restored.
func freshStates(ctx context.Context, w *world) (values, *credential, error) {
	v, _, err := freshWorkspace(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	for serial := range 2 {
		state := fmt.Appendf(nil, `{"version":4,"serial":%d,"lineage":"x","resources":[]}`, serial)
		if err := w.admin.UpdateWorkspaceBuildState(ctx, uuid.MustParse(v["build"]), client.UpdateWorkspaceBuildStateRequest{State: state}); err != nil {
			return nil, nil, fmt.Errorf("push a state: %w", err)
		}
	}
	v["number"] = "1"
	return v, nil, nil
}

func freshPendingBuild(ctx context.Context, w *world) (values, *credential, error) {
	workspace, err := w.newWorkspace(ctx)
	return values{"workspace": workspace.ID.String(), "build": workspace.LatestBuild.ID.String()}, nil, err
}

func freshDaemon(ctx context.Context, w *world) (values, *credential, error) {
	id, err := w.register(ctx, "daemon-"+w.mark)
	w.daemonID = id
	return values{"daemon": id.String()}, nil, err
}

// freshIdler is a daemon that no other proof needs.
func freshIdler(ctx context.Context, w *world) (values, *credential, error) {
	id, err := w.register(ctx, "idler-"+w.mark)
	return values{"daemon": id.String()}, nil, err
}

// freshWork is a daemon with a job that waits for it.
func freshWork(ctx context.Context, w *world) (values, *credential, error) {
	if _, err := w.pendingVersion(ctx, nil); err != nil {
		return nil, nil, err
	}
	return freshDaemon(ctx, w)
}

// freshAttempt is a job that was just handed out.
func freshAttempt(confirmed bool) func(context.Context, *world) (values, *credential, error) {
	return func(ctx context.Context, w *world) (values, *credential, error) {
		v, err := w.pendingVersion(ctx, nil)
		if err != nil {
			return nil, nil, err
		}
		job, attempt, err := w.take(ctx, v.Job.ID)
		if err != nil {
			return nil, nil, err
		}
		if confirmed {
			if err := attempt.Confirm(ctx); err != nil {
				return nil, nil, err
			}
		}
		secret := credential{name: "the attempt", header: http.Header{client.HeaderAttempt: {job.Secret}}}
		return values{"attempt": job.AttemptID.String()}, &secret, nil
	}
}

// Why nobody can do some operations.
const (
	noDynamicParameters = "templates use the classic parameter flow"
	noPorts             = "agents do not forward connections"
	noRestore           = "the database was not restored"
)

var port = fields{"agent_name": "main", "port": 8080, "share_level": "authenticated", "protocol": "http"}

// searches are lists that name somebody else's objects.
var searches = []func(values) string{
	func(v values) string { return "/workspaces?q=organization:" + v["organization"] },
	func(v values) string { return "/workspaces?q=organization:" + v["organization_name"] },
	func(v values) string { return "/workspaces?q=owner:" + v["username"] },
	func(v values) string { return "/workspaces?q=template:" + v["template_name"] },
	func(v values) string { return "/workspaces?q=" + v["workspace_name"] },
	func(v values) string { return "/templates?q=organization:" + v["organization"] },
	func(v values) string { return "/templates?q=organization:" + v["organization_name"] },
	func(v values) string { return "/templates?q=exact_name:" + v["template_name"] },
	func(v values) string { return "/paginated-templates?organization=" + v["organization"] },
	func(v values) string { return "/paginated-templates?organization=" + v["organization_name"] },
	func(v values) string { return "/paginated-templates?q=exact_name:" + v["template_name"] },
	func(v values) string { return "/groups?organization=" + v["organization"] },
	func(v values) string { return "/groups?organization=" + v["organization_name"] },
	func(v values) string { return "/groups?group_ids=" + v["organization"] },
	func(v values) string { return "/groups?group_ids=" + v["group_id"] },
	func(v values) string { return "/workspaces?q=shared_with_user:" + v["username"] },
	func(v values) string { return "/workspaces?q=shared_with_group:" + v["group_id"] },
	func(v values) string { return "/audit?q=organization:" + v["organization"] },
	func(v values) string { return "/audit?q=resource_id:" + v["workspace_id"] },
	func(v values) string {
		return "/insights/templates?template_ids=" + v["template_id"] + "&" + insightsQuery(v)
	},
	func(v values) string { return "/users/me/organizations/" + v["organization_name"] },
	func(v values) string { return "/users/me/autofill-parameters?template_id=" + v["template_id"] },
}

// rules by operation.
var rules = map[string]rule{
	"GET /audit":               {logsCallers: true},
	"GET /audit/entries":       {logsCallers: true},
	"GET /audit/head":          {logsCallers: true},
	"GET /audit/verify":        {logsCallers: true},
	"POST /audit/testgenerate": {given: true, body: func(values) any { return fields{"action": "create", "resource_type": "template"} }},
	"PUT /appearance":          refused("it would change what everybody sees"),
	"POST /authcheck": namesObjects(func(v values) any {
		return fields{"checks": fields{"a": fields{"action": "read", "object": fields{"resource_type": "workspace", "resource_id": v["workspace_id"]}}}}
	}),
	"POST /files":                                                {given: true, raw: func(values) string { return string(bytes.TrimSpace(archive(random()))) }},
	"GET /insights/daus":                                         asked(func(values) string { return "tz_offset=0" }),
	"GET /insights/templates":                                    asked(insightsQuery),
	"GET /insights/user-activity":                                asked(insightsTimes),
	"GET /insights/user-latency":                                 asked(insightsTimes),
	"GET /insights/user-status-counts":                           asked(func(values) string { return "tz_offset=0" }),
	"POST /licenses":                                             refused("everything is entitled"),
	"POST /licenses/refresh-entitlements":                        plain(),
	"DELETE /licenses/{id}":                                      refused("there are no licences"),
	"POST /deployment/keys/rotate":                               refused("it would change the key of everything"),
	"POST /organizations/{organization}/keys/rotate":             plain(),
	"POST /organizations":                                        body(func(v values) any { return fields{"name": v["new_name"]} }).on(noteOrganization),
	"DELETE /organizations/{organization}":                       plain().on(freshOrganization),
	"PUT /organizations/{organization}/quota":                    fixed(fields{"max_daily_cost": nil, "max_running_workspaces": nil}),
	"PATCH /organizations/{organization}":                        fixed(fields{"description": "changed"}),
	"POST /users":                                                fixed(fields{}).accepting(http.StatusBadRequest),
	"POST /users/logout":                                         plain().on(freshCaller),
	"GET /organizations/{organization}/provisionerdaemons/serve": refused("daemons speak plain HTTP"),

	"POST /organizations/{organization}/groups":                      body(func(v values) any { return fields{"name": v["new_name"], "quota_allowance": 1} }),
	"PATCH /groups/{group}":                                          body(func(v values) any { return fields{"add_users": []string{v["user_id"]}, "display_name": "Changed"} }).on(freshGroup),
	"DELETE /groups/{group}":                                         plain().on(freshGroup),
	"PATCH /organizations/{organization}/settings/workspace-sharing": fixed(fields{"shareable_workspace_owners": "everyone"}),

	"POST /organizations/{organization}/members/roles":          body(func(v values) any { return fields{"name": v["new_name"], "organization_permissions": []any{}} }),
	"PUT /organizations/{organization}/members/roles":           {given: true, body: func(v values) any { return fields{"name": v["role"], "organization_permissions": []any{}} }, fresh: freshRole},
	"DELETE /organizations/{organization}/members/roles/{role}": plain().on(freshRole),
	"DELETE /organizations/{organization}/members/{user}":       plain().on(freshMember),
	"POST /organizations/{organization}/members/{user}":         plain().on(freshOutsider),
	"PUT /organizations/{organization}/members/{user}/roles":    fixed(fields{"roles": []string{}}),
	"POST /organizations/{organization}/members/{user}/workspaces": body(func(v values) any {
		return fields{"template_id": v["template_id"], "name": v["new_name"]}
	}),
	"POST /organizations/{organization}/provisionerkeys":                    body(func(v values) any { return fields{"name": v["new_name"]} }),
	"DELETE /organizations/{organization}/provisionerkeys/{name}":           plain().on(freshKey),
	"POST /organizations/{organization}/provisionerkeys/{name}/rotate":      fixed(fields{}).on(freshKey),
	"POST /organizations/{organization}/provisionerkeys/{name}/jointokens":  fixed(fields{}).on(freshKey),
	"POST /organizations/{organization}/provisionerdaemons/{daemon}/drain":  plain().on(freshIdler),
	"POST /organizations/{organization}/provisionerdaemons/{daemon}/resume": plain().on(freshIdler),
	"POST /organizations/{organization}/templates": namesObjects(func(v values) any {
		return fields{"name": v["new_name"], "template_version_id": v["version_id"]}
	}).on(freshVersion),
	"POST /organizations/{organization}/templateversions": namesObjects(func(v values) any {
		return fields{"storage_method": "file", "file_id": v["file_id"], "provisioner": "terraform"}
	}),

	"POST /provisionerdaemons/register": fixed(fields{"name": "x", "provisioners": []string{"terraform"}, "version": "v0.0.0", "api_version": "1.0", "host_id": "x"}).
		on(func(_ context.Context, w *world) (values, *credential, error) { return nil, &w.daemonKey, nil }),
	"DELETE /provisionerdaemons/{daemon}":       plain().on(freshDaemon),
	"POST /provisionerdaemons/{daemon}/history": fixed(fields{"reports": []any{}}).on(freshIdler),
	// Nobody can hand in, read or end what only a restore of the database begins.
	"PUT /provisionerdaemons/{daemon}/history/{lost}/state":    {given: true, refused: noRestore, raw: func(values) string { return "{}" }, query: stateQuery},
	"GET /organizations/{organization}/recovery/states/{lost}": refused(noRestore),
	"POST /organizations/{organization}/recovery/end":          refused(noRestore),
	"POST /provisionerdaemons/{daemon}/acquire":                body(func(values) any { return fields{"request_id": uuid.New()} }).on(freshWork),
	"POST /provisionerdaemons/attempts/{attempt}/confirm":      fixed(fields{}).on(freshAttempt(false)),
	"POST /provisionerdaemons/attempts/{attempt}/engine":       fixed(fields{}).on(freshAttempt(true)),
	// A plan is decided on for builds, and this attempt is one at an import.
	"POST /provisionerdaemons/attempts/{attempt}/plan":     {given: true, body: func(values) any { return fields{"daily_cost": 1} }, fresh: freshAttempt(true), accepted: []int{http.StatusBadRequest}},
	"POST /provisionerdaemons/attempts/{attempt}/logs":     fixed(fields{"logs": []any{}}).on(freshAttempt(true)),
	"POST /provisionerdaemons/attempts/{attempt}/renew":    fixed(fields{}).on(freshAttempt(true)),
	"GET /provisionerdaemons/attempts/{attempt}/source":    plain().on(freshAttempt(true)),
	"PUT /provisionerdaemons/attempts/{attempt}/state":     {given: true, raw: func(values) string { return "{}" }, query: stateQuery, fresh: freshAttempt(true), accepted: []int{http.StatusBadRequest}},
	"POST /provisionerdaemons/attempts/{attempt}/complete": fixed(fields{"import": fields{}}).on(freshAttempt(true)),
	"POST /provisionerdaemons/attempts/{attempt}/fail":     fixed(fields{"error": "x", "engine_dead": true}).on(freshAttempt(true)),

	"DELETE /templates/{template}":                plain().on(freshTemplate),
	"PATCH /templates/{template}":                 fixed(fields{"description": "changed"}),
	"PATCH /templates/{template}/acl":             fixed(fields{"user_perms": fields{}, "group_perms": fields{}}),
	"PATCH /templates/{template}/versions":        body(func(v values) any { return fields{"id": v["version_id"]} }),
	"POST /templates/{template}/versions/archive": fixed(fields{"all": false}),

	"PATCH /templateversions/{templateversion}":                            body(func(v values) any { return fields{"name": v["new_name"], "message": "changed"} }).on(freshOldVersion),
	"POST /templateversions/{templateversion}/archive":                     plain().on(freshOldVersion),
	"POST /templateversions/{templateversion}/unarchive":                   plain().on(freshArchivedVersion),
	"PATCH /templateversions/{templateversion}/cancel":                     plain().on(freshPendingVersion),
	"POST /templateversions/{templateversion}/dry-run":                     fixed(fields{"workspace_name": "dry", "rich_parameter_values": []any{}}),
	"PATCH /templateversions/{templateversion}/dry-run/{job}/cancel":       plain().on(freshDryRun),
	"GET /templateversions/{templateversion}/dynamic-parameters":           refused(noDynamicParameters),
	"POST /templateversions/{templateversion}/dynamic-parameters/evaluate": refused(noDynamicParameters),

	"DELETE /users/{user}":                        plain().on(freshMember),
	"PUT /users/{user}/appearance":                fixed(fields{"theme_preference": "dark", "terminal_font": ""}),
	"GET /users/{user}/autofill-parameters":       asked(func(v values) string { return "template_id=" + v["template_id"] }),
	"PUT /users/{user}/gitsshkey":                 plain(),
	"POST /users/{user}/keys":                     fixed(fields{}),
	"POST /users/{user}/keys/tokens":              body(func(v values) any { return fields{"token_name": v["new_name"]} }),
	"DELETE /users/{user}/keys/{keyid}":           plain().on(freshSession),
	"PUT /users/{user}/keys/{keyid}/expire":       plain().on(freshSession),
	"PUT /users/{user}/notifications/preferences": fixed(fields{"template_disabled_map": fields{}}),
	"PUT /users/{user}/password":                  body(func(values) any { return fields{"password": fmt.Sprintf(passwordForm, random())} }).on(freshMember),
	"PUT /users/{user}/preferences":               fixed(fields{"task_notification_alert_dismissed": false}),
	"PUT /users/{user}/profile":                   body(func(v values) any { return fields{"username": v["username"], "name": "Changed"} }),
	"PUT /users/{user}/quiet-hours":               fixed(fields{"schedule": "CRON_TZ=UTC 0 0 * * *"}),
	"PUT /users/{user}/roles":                     fixed(fields{"roles": []string{}}),
	"PUT /users/{user}/status/activate":           plain().on(freshMember),
	"PUT /users/{user}/status/suspend":            plain().on(freshMember),
	"POST /users/{user}/workspaces":               body(func(v values) any { return fields{"template_id": v["template_id"], "name": v["new_name"]} }),

	"PATCH /workspacebuilds/{build}/cancel":                plain().on(freshPendingBuild),
	"PUT /workspacebuilds/{build}/state":                   {given: true, raw: func(values) string { return `{"version":4,"serial":9,"lineage":"x","resources":[]}` }, fresh: freshWorkspace},
	"PATCH /workspaces/{workspace}":                        body(func(v values) any { return fields{"name": v["new_name"]} }).on(freshWorkspace),
	"PATCH /workspaces/{workspace}/acl":                    body(func(v values) any { return fields{"group_roles": fields{v["group_id"]: "use"}} }),
	"DELETE /workspaces/{workspace}/acl":                   plain().on(freshWorkspace),
	"PUT /workspaces/{workspace}/autostart":                fixed(fields{"schedule": nil}),
	"PUT /workspaces/{workspace}/autoupdates":              fixed(fields{"automatic_updates": "never"}),
	"POST /workspaces/{workspace}/builds":                  fixed(fields{"transition": "stop"}).on(freshWorkspace),
	"PUT /workspaces/{workspace}/dormant":                  fixed(fields{"dormant": true}).on(freshWorkspace),
	"PUT /workspaces/{workspace}/extend":                   fixed(fields{"deadline": "2100-01-01T00:00:00Z"}).accepting(http.StatusBadRequest, http.StatusConflict),
	"PUT /workspaces/{workspace}/favorite":                 plain(),
	"DELETE /workspaces/{workspace}/favorite":              plain(),
	"POST /workspaces/{workspace}/port-share":              {given: true, refused: noPorts, body: func(values) any { return port }},
	"DELETE /workspaces/{workspace}/port-share":            {given: true, refused: noPorts, body: func(values) any { return port }},
	"GET /workspaces/{workspace}/states":                   plain().on(freshStates),
	"GET /workspaces/{workspace}/paginated-states":         plain().on(freshStates),
	"GET /workspaces/{workspace}/states/{number}":          plain().on(freshStates),
	"POST /workspaces/{workspace}/states/{number}/restore": plain().on(freshStates),
	"PUT /workspaces/{workspace}/schedule":                 fixed(fields{"schedule": nil, "ttl_ms": nil}),
	"PUT /workspaces/{workspace}/ttl":                      fixed(fields{"ttl_ms": nil}),
	"POST /workspaces/{workspace}/usage":                   fixed(fields{}),
	"GET /workspaces/{workspace}/watch-ws":                 {accepted: []int{http.StatusBadRequest, http.StatusUpgradeRequired}},
}

func insightsTimes(values) string {
	return "start_time=2026-01-01T00:00:00Z&end_time=2026-01-02T00:00:00Z"
}

func insightsQuery(v values) string { return insightsTimes(v) + "&interval=day" }

func stateQuery(values) string { return "n=1&sha256=" + strings.Repeat("0", 64) }

func freshCaller(ctx context.Context, w *world) (values, *credential, error) {
	_, caller, err := w.person(ctx, w.home, "a"+random())
	return nil, &caller, err
}
