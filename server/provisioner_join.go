package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// acquireWait is how long a daemon's question for a job stays open.
const acquireWait = 30 * time.Second

// maxTrouble bounds what a daemon says of itself.
const maxTrouble = 1024

// What a daemon sends is read into memory, where it takes many times its size.
// Batches of log lines have a megabyte before JSON escapes it.
const (
	maxLogBody    = 8 << 20
	maxResultBody = 16 << 20
)

func (a *api) provisionerProtocolRoutes(r *router) {
	const attempts = "/provisionerdaemons/attempts/{attempt}"
	handle(r, post, "/provisionerdaemons/register", "Join a daemon", daemon(), a.registerDaemon, created)
	handle(r, post, "/provisionerdaemons/{daemon}/acquire", "Wait for a job", daemon(), a.acquireJob, slow(acquireWait+10*time.Second))
	handle(r, post, "/provisionerdaemons/{daemon}/history", "Report what a spool remembers of builds", daemon(), a.reportHistory, body(maxHistoryBody))
	handleRaw(r, put, "/provisionerdaemons/{daemon}/history/{lost}/state", "Hand in the last state of an attempt that the server does not know", daemon(), a.putLostState)
	handle(r, del, "/provisionerdaemons/{daemon}", "Leave in an orderly way", daemon(), a.stopDaemon, noContent)
	handle(r, post, attempts+"/confirm", "Confirm a hand-out", attempt(), a.confirmAttempt, noContent)
	handle(r, post, attempts+"/engine", "Say that an engine is about to start", attempt(), a.startAttemptEngine)
	handle(r, post, attempts+"/plan", "Ask whether a plan may be applied", attempt(), a.decidePlan)
	handleRaw(r, get, attempts+"/source", "Download the template's archive", attempt(), a.attemptSource)
	handle(r, post, attempts+"/renew", "Keep the lease and wait for news", attempt(), a.renewAttempt)
	handle(r, post, attempts+"/logs", "Append log lines", attempt(), a.appendAttemptLogs, body(maxLogBody))
	handleRaw(r, put, attempts+"/state", "Hand in a state", attempt(), a.putAttemptState)
	handle(r, post, attempts+"/complete", "End a job well", attempt(), a.completeAttempt, body(maxResultBody))
	handle(r, post, attempts+"/fail", "End an attempt badly", attempt(), a.failAttempt, body(maxResultBody))
	handleRaw(r, get, "/organizations/{organization}/provisionerdaemons/serve", "Not offered: the daemons of this server speak plain HTTP", public(), serveNotOffered)
}

type registerInput struct {
	Body client.RegisterDaemonRequest
}

type DaemonPath struct {
	Daemon uuid.UUID `path:"daemon" format:"uuid"`
}

type acquireInput struct {
	DaemonPath
	Body client.AcquireJobRequest
}

// serveNotOffered answers daemons of the reference.
func serveNotOffered(w http.ResponseWriter, _ *http.Request) {
	e := badRequest("This server does not speak the WebSocket protocol for provisioner daemons.")
	e.Detail = "Start the daemon with this server's own binary: coder provisioner start."
	writeJSON(w, e.StatusCode, e)
}

func (a *api) registerDaemon(ctx context.Context, in *registerInput) (*output[client.RegisteredDaemon], error) {
	cred := requestFrom(ctx).daemon
	org, err := a.daemonOrganization(ctx, cred, in.Body.Organization)
	if err != nil {
		return nil, err
	}
	tags, err := a.daemonTags(cred, org, in.Body.Tags)
	if err != nil {
		return nil, err
	}
	if err := checkName("name", client.NameDaemon, in.Body.Name); err != nil {
		return nil, err
	}
	now := store.At(a.now())
	p := store.UpsertProvisionerDaemonParams{
		ID: uuid.New(), OrganizationID: org.ID, KeyID: cred.keyID, Name: in.Body.Name, Owner: tags[client.TagOwner], Version: in.Body.Version,
		ApiVersion: in.Body.APIVersion, Provisioners: in.Body.Provisioners, Tags: tags, HostID: in.Body.HostID, CreatedAt: now, LastSeenAt: now,
	}
	if cred.user != nil {
		p.UserID = &cred.user.ID
	}
	row, err := a.store.UpsertProvisionerDaemon(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("register daemon: %w", err)
	}
	a.queues.fleetChanged(org.ID)
	recovery, err := a.heedAll(ctx, row, in.Body.Witnesses)
	if err != nil {
		return nil, err
	}
	a.logger.InfoContext(ctx, "provisioner daemon joined", "daemon", row.Name, "organization", org.Name, "tags", showTags(tags))
	return reply(client.RegisteredDaemon{
		ID: row.ID, Name: row.Name, OrganizationID: org.ID, OrganizationName: org.Name, Tags: tags,
		KeyName: cred.name(), ServerVersion: a.version, Recovery: recovery,
	}), nil
}

func (c *daemonCredential) name() string {
	switch {
	case c.key != nil:
		return c.key.Name
	case c.user != nil:
		return client.ProvisionerKeyUserAuth
	}
	return client.ProvisionerKeyBuiltIn
}

// daemonOrganization is the key's own, the default one for built-in daemons,
// and for a user one that they may see.
func (a *api) daemonOrganization(ctx context.Context, cred *daemonCredential, ref string) (store.Organization, error) {
	switch {
	case cred.key != nil:
		org, err := a.store.GetOrganization(ctx, cred.organization)
		if err != nil {
			return store.Organization{}, err
		}
		if ref != "" && !strings.EqualFold(ref, org.Name) && ref != org.ID.String() {
			return store.Organization{}, badRequest(fmt.Sprintf("The provisioner key belongs to the organization %q, not to %q.", org.Name, ref),
				client.ValidationError{Field: "organization", Detail: "Leave it out, name the key's own organization, or use a key of the other one."})
		}
		return org, nil
	case cred.user == nil:
		return a.store.GetDefaultOrganization(ctx)
	}
	return a.organization(ctx, ref)
}

// daemonTags are the key's, or what the daemon asks for as far as it may.
func (a *api) daemonTags(cred *daemonCredential, org store.Organization, asked map[string]string) (store.StringMap, error) {
	if cred.key != nil {
		if len(asked) > 0 {
			return nil, forbidden("A provisioner key carries its own tags; none can be given beside it.")
		}
		return normalizeTags(cred.key.Tags, uuid.Nil), nil
	}
	if err := checkTags(asked); err != nil {
		return nil, err
	}
	if cred.user == nil {
		return normalizeTags(asked, uuid.Nil), nil
	}
	tags := normalizeTags(asked, cred.user.ID)
	return tags, cred.mayServe(org.ID, tags)
}

// mayServe asks whether the user behind a daemon may offer it: for
// themselves always, unless their token's scopes leave it out, and for the
// organization with provisioner_daemon:create.
func (c *daemonCredential) mayServe(organizationID uuid.UUID, tags map[string]string) error {
	if c.user == nil {
		return nil
	}
	object := authz.Object{Type: authz.ProvisionerDaemon, OrganizationID: organizationID}
	if tags[client.TagScope] == scopeTagUser {
		object.OwnerID = c.user.ID
		if !c.subject.Can(authz.Create, object) {
			return forbidden("You may not start provisioners with this token: its scopes leave provisioner_daemon:create out, and a provisioner is handed the secrets of its jobs.")
		}
		return nil
	}
	if !c.subject.Can(authz.Create, object) {
		return forbidden("You may start provisioners for yourself only (--tag scope=user). Ask an administrator of the organization for a provisioner key.")
	}
	return nil
}

// ownDaemon loads the daemon of a call and checks that it joined with the
// same credential, which must still be good for it.
func (a *api) ownDaemon(ctx context.Context, id uuid.UUID) (store.ProvisionerDaemon, error) {
	cred := requestFrom(ctx).daemon
	d, err := a.store.GetProvisionerDaemon(ctx, id)
	if err != nil {
		return store.ProvisionerDaemon{}, err
	}
	sameUser := cred.user == nil || (d.UserID != nil && *d.UserID == cred.user.ID)
	if d.KeyID != cred.keyID || !sameUser {
		return store.ProvisionerDaemon{}, errNotFound()
	}
	return d, cred.serves(d)
}

// serves asks whether the credential is good for this daemon now.
func (c *daemonCredential) serves(d store.ProvisionerDaemon) error {
	if c.user == nil {
		return nil
	}
	if _, member := c.subject.Organizations[d.OrganizationID]; !member && !c.subject.Everywhere(authz.Create, authz.ProvisionerDaemon) {
		return forbidden("You are no longer a member of this organization.")
	}
	return c.mayServe(d.OrganizationID, d.Tags)
}

// daemonAgain asks once more, in a call that stays open, who the daemon is
// and whether it still may: keys, sessions and rights end while it waits.
func (a *api) daemonAgain(ctx context.Context, id uuid.UUID) error {
	if err := a.credentialAgain(ctx); err != nil {
		return err
	}
	_, err := a.ownDaemon(ctx, id)
	return err
}

// credentialAgain asks whether what a daemon has joined with is still good.
func (a *api) credentialAgain(ctx context.Context) error {
	req := requestFrom(ctx)
	cred := req.daemon
	switch {
	case cred.key != nil:
		if _, err := a.keyCredential(ctx, cred.secret); err != nil {
			return err
		}
	case cred.user != nil:
		row, err := a.store.GetAPIKeyWithUser(ctx, req.key.ID)
		if err := a.checkSession(row, err); err != nil {
			return err
		}
		if err := a.admitSession(ctx, row); err != nil {
			return err
		}
		req.daemon = &daemonCredential{keyID: cred.keyID, subject: req.subject, user: req.user}
	}
	return nil
}

func (a *api) stopDaemon(ctx context.Context, in *DaemonPath) (*struct{}, error) {
	d, err := a.ownDaemon(ctx, in.Daemon)
	if err != nil {
		return nil, err
	}
	defer a.queues.fleetChanged(d.OrganizationID)
	return nil, a.store.StopProvisionerDaemon(ctx, store.StopProvisionerDaemonParams{ID: d.ID, StoppedAt: store.At(a.now())})
}

// acquireJob hands out a job, or answers 204 when none came in time. The
// daemon enters the line before it looks, so that no job passes it by.
func (a *api) acquireJob(ctx context.Context, in *acquireInput) (*acquireOutput, error) {
	d, err := a.ownDaemon(ctx, in.Daemon)
	if err != nil {
		return nil, err
	}
	if err := a.daemonSeen(ctx, d); err != nil {
		return nil, err
	}
	if err := a.heed(ctx, d.OrganizationID, in.Body.Witness); err != nil {
		return nil, err
	}
	job, err := a.awaitJob(ctx, d, in.Body)
	if err != nil {
		return nil, err
	}
	out := &acquireOutput{Status: http.StatusNoContent, Body: job}
	if job != nil {
		out.Status = http.StatusOK
	}
	history, err := a.historyOf(ctx, d.OrganizationID)
	if ctx.Err() != nil {
		return out, nil // the daemon has left
	}
	if err != nil {
		a.logger.WarnContext(ctx, "say how far the builds have come", "organization", d.OrganizationID, "error", err)
		return out, nil // the job matters more
	}
	if out.Recovery = recoveryID(history); d.Tags[client.TagScope] != scopeTagUser {
		out.Witness = history.Witness
	}
	return out, nil
}

// acquireOutput is a job, or 204, and what the server says of the organization's history.
type acquireOutput struct {
	Status   int
	Witness  string `header:"Coder-Provisioner-Witness"`
	Recovery string `header:"Coder-Provisioner-Recovery"`
	Body     *client.AcquiredJob
}

// awaitJob waits for a job, as long as the daemon has nothing to report.
func (a *api) awaitJob(ctx context.Context, d store.ProvisionerDaemon, ask client.AcquireJobRequest) (*client.AcquiredJob, error) {
	if err := a.daemonTrouble(ctx, d, ask.Trouble); err != nil || ask.Trouble != "" {
		return nil, err
	}
	if job, err := a.repeatedHandOut(ctx, d, ask.RequestID); job != nil || err != nil {
		return job, err
	}
	if err := a.admitJobs(); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(a.acquireWait)
	defer timeout.Stop()
	if !d.DrainedAt.IsZero() {
		return nil, a.standAside(ctx, d.ID, timeout.C)
	}
	w := a.dispatch.wait(d)
	defer a.dispatch.leave(w)
	var err error
	var woken store.StringMap
	for wanted := true; ; {
		if due, err := a.owesReport(ctx, d, ask); due || err != nil {
			return nil, err
		}
		if wanted {
			job, err := a.handOut(ctx, d, ask.RequestID)
			if errors.Is(err, errDraining) {
				a.dispatch.pass(w, woken)
				return nil, a.standAside(ctx, d.ID, timeout.C)
			}
			if job != nil || err != nil {
				return job, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-a.closing:
			return nil, nil
		case <-timeout.C:
			return nil, nil
		case woken = <-w.wake:
			wanted, err = true, a.daemonAgain(ctx, d.ID)
		case <-a.idle.beat(d.ID):
			wanted, err = a.idle.look(ctx, a, d)
		}
		if err != nil {
			return nil, err
		}
	}
}

// daemonSeen notes that a daemon asked; its row is written with the others.
func (a *api) daemonSeen(ctx context.Context, d store.ProvisionerDaemon) error {
	if !d.StoppedAt.IsZero() || a.now().Sub(d.LastSeenAt.Time) > daemonStale/3 {
		return a.store.TouchProvisionerDaemons(ctx, store.TouchProvisionerDaemonsParams{LastSeenAt: store.At(a.now()), Ids: store.IDs([]uuid.UUID{d.ID})})
	}
	return nil
}

// daemonTrouble keeps what a daemon says that keeps it from taking a job, and
// forgets it when the daemon asks for one again.
func (a *api) daemonTrouble(ctx context.Context, d store.ProvisionerDaemon, trouble string) error {
	if trouble = cutText(trouble, maxTrouble); trouble == d.Trouble {
		return nil
	}
	defer a.queues.fleetChanged(d.OrganizationID)
	return a.store.SetDaemonTrouble(ctx, store.SetDaemonTroubleParams{OrganizationID: d.OrganizationID, ID: d.ID, Trouble: trouble, LastSeenAt: store.At(a.now())})
}

func supports(d store.ProvisionerDaemon, provisioner string) bool {
	return slices.Contains(d.Provisioners, provisioner)
}
