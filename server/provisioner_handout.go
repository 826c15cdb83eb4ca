package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// Clocks of an attempt: docs/jobs.md. Interrupt and kill are shares of the
// horizon, so that an engine is dead before anybody may take over.
const (
	leaseTime      = 24 * time.Second
	renewTime      = 8 * time.Second
	confirmTime    = 5 * time.Second
	interruptShare = 0.60
	killShare      = 0.85
)

// errClaimed: somebody else was faster, or the job must wait.
var errClaimed = errors.New("job is not to be had")

func (a *api) clocks() client.JobClocks {
	c := client.JobClocks{Lease: leaseTime.Milliseconds(), Renew: renewTime.Milliseconds()}
	if a.options.Horizon > 0 {
		horizon := float64(a.options.Horizon.Milliseconds())
		c.Horizon, c.InterruptAt, c.KillAt = int64(horizon), int64(horizon*interruptShare), int64(horizon*killShare)
	}
	return c
}

// repeatedHandOut answers a request id that was answered before.
func (a *api) repeatedHandOut(ctx context.Context, d store.ProvisionerDaemon, requestID uuid.UUID) (*client.AcquiredJob, error) {
	attempt, err := a.store.GetAttemptByRequest(ctx, store.GetAttemptByRequestParams{DaemonID: d.ID, RequestID: requestID})
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(attempt.Reply) == 0 {
		return nil, refuse(http.StatusGone, "The job of this request is no longer handed out.", "Ask with a new request id.")
	}
	raw, err := a.store.Unseal(ctx, attempt.OrganizationID, store.PurposeHandOut, attempt.Reply)
	if err != nil {
		return nil, err
	}
	job := &client.AcquiredJob{}
	if err := json.Unmarshal(raw, job); err != nil {
		return nil, fmt.Errorf("read the stored hand-out: %w", err)
	}
	return job, nil
}

// maxBrokenJobs is how many jobs in a row may turn out to be broken before the
// trouble is taken for the server's own.
const maxBrokenJobs = 20

// handOut gives the daemon the first job in rank that it can run, or nil. It
// fails with errDraining when there is one and the daemon drains.
func (a *api) handOut(ctx context.Context, d store.ProvisionerDaemon, requestID uuid.UUID) (*client.AcquiredJob, error) {
	if err := a.admitJobs(); err != nil {
		return nil, err
	}
	for {
		job, underWay, err := a.handOutNext(ctx, d, requestID)
		if job != nil || err != nil || underWay == nil {
			return job, err
		}
		select {
		case <-underWay: // whether or not that daemon got it
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// handOutNext is handOut of those that are not being handed out to another
// daemon; where there are only such ones, underWay tells when the first has been.
func (a *api) handOutNext(ctx context.Context, d store.ProvisionerDaemon, requestID uuid.UUID) (_ *client.AcquiredJob, underWay <-chan struct{}, _ error) {
	jobs, err := a.queues.rankedJobs(ctx, d.OrganizationID, a.now(), true)
	if err != nil {
		return nil, nil, err
	}
	history, err := a.historyOf(ctx, d.OrganizationID)
	if err != nil {
		return nil, nil, err
	}
	var failed error
	failures := 0
	for _, job := range jobs {
		if job.WorkspaceID != nil && history.RecoveryID != uuid.Nil {
			continue // the transaction would refuse each of them
		}
		if !tagsMatch(job.Tags, d.Tags) || !supports(d, job.Provisioner) {
			continue
		}
		acquired, other, err := a.claimAlone(ctx, d, job, requestID)
		if other != nil || errors.Is(err, errClaimed) {
			underWay = cmp.Or(underWay, other)
			continue
		}
		if errors.Is(err, errDraining) {
			return nil, nil, err
		}
		if err != nil {
			// What is wrong with one workspace must not keep the others waiting.
			failed = errors.Join(failed, fmt.Errorf("hand out job %s: %w", job.ID, err))
			var refusal *client.Error
			if failures++; errors.As(err, &refusal) || ctx.Err() != nil || failures == maxBrokenJobs {
				return nil, nil, failed
			}
			a.logger.ErrorContext(ctx, "job not handed out; it is tried again", "job", job.ID, "organization", job.OrganizationID, "error", err)
			continue
		}
		return acquired, nil, nil
	}
	return nil, underWay, failed
}

// claimAlone is claim, unless another daemon is at the same job: then other is
// closed once that one is done.
func (a *api) claimAlone(ctx context.Context, d store.ProvisionerDaemon, job *store.PendingJob, requestID uuid.UUID) (_ *client.AcquiredJob, other <-chan struct{}, _ error) {
	over, other := a.queues.handingOut(job.ID)
	if other != nil {
		return nil, other, nil
	}
	defer over()
	if job.Given.Load() {
		return nil, nil, errClaimed
	}
	done, err := a.queues.turn(ctx, job.OrganizationID, turnHandOut)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	acquired, err := a.claim(ctx, d, job, requestID)
	if err == nil {
		job.Given.Store(true)
	}
	return acquired, nil, err
}

// claim makes an attempt in one transaction: the job, the raised fence, the
// secret and the stored reply, or nothing at all. Whether the daemon still may
// is asked in it too, because what it joined with can end at any moment.
func (a *api) claim(ctx context.Context, d store.ProvisionerDaemon, job *store.PendingJob, requestID uuid.UUID) (*client.AcquiredJob, error) {
	var acquired *client.AcquiredJob
	var claimed store.ProvisionerJob
	known := a.histories.latest(job.OrganizationID).Number
	err := a.store.InTx(ctx, func(tx *store.Store) (err error) {
		if err := a.withStore(tx).admitDaemon(ctx, d); err != nil {
			return err
		}
		now, attemptID := store.At(a.now()), uuid.New()
		claimed, err = tx.ClaimProvisionerJob(ctx, store.ClaimProvisionerJobParams{
			OrganizationID: job.OrganizationID, ID: job.ID, WorkerID: &d.ID, AttemptID: &attemptID, StartedAt: now, UpdatedAt: now,
		})
		if store.IsNotFound(err) {
			return errClaimed
		}
		if err != nil {
			return err
		}
		acquired, err = a.assembleJob(ctx, tx, claimed, known)
		if err != nil {
			return err
		}
		return a.insertAttempt(ctx, tx, d, claimed, acquired, requestID)
	})
	if err != nil {
		return nil, err
	}
	a.handedOut(claimed, d, acquired.OrganizationName)
	a.jobChanged(claimed)
	return acquired, nil
}

// raiseFence orders this hand-out behind all earlier ones of the workspace,
// and refuses it while an older engine may still live.
func (a *api) raiseFence(ctx context.Context, tx *store.Store, job store.ProvisionerJob, b store.GetBuildToHandOutRow, known int64) (int64, error) {
	if b.EngineLives || b.StrangerLives || refusesBuilds(b.RecoveryID, b.History, known) {
		return 0, errClaimed
	}
	return tx.HandOutWorkspace(ctx, store.HandOutWorkspaceParams{
		OrganizationID: job.OrganizationID, ID: b.WorkspaceID, LatestBuildID: *job.WorkspaceBuildID, LatestStatus: buildStatus(job.Status, b.Transition), UpdatedAt: store.At(a.now()),
	})
}

func (a *api) insertAttempt(ctx context.Context, tx *store.Store, d store.ProvisionerDaemon, job store.ProvisionerJob, acquired *client.AcquiredJob, requestID uuid.UUID) error {
	raw, err := json.Marshal(acquired)
	if err != nil {
		return fmt.Errorf("encode the hand-out: %w", err)
	}
	sealed, err := tx.Seal(ctx, job.OrganizationID, store.PurposeHandOut, raw)
	if err != nil {
		return err
	}
	session := ""
	if key := requestFrom(ctx).key; key != nil {
		session = key.ID
	}
	now := store.At(a.now())
	return tx.InsertAttempt(ctx, store.InsertAttemptParams{
		ID: acquired.AttemptID, OrganizationID: job.OrganizationID, JobID: job.ID, WorkspaceID: job.WorkspaceID, WorkspaceBuildID: job.WorkspaceBuildID,
		DaemonID: d.ID, HostID: d.HostID, KeyID: d.KeyID, UserID: d.UserID, ApiKeyID: session, RequestID: requestID, Number: job.Attempts, Fence: acquired.Fence,
		HashedSecret: hashSecret(acquired.Secret), Reply: sealed, Clocks: store.JSON(acquired.Clocks), HandedAt: now, RenewedAt: now,
	})
}

// assembleJob reads what a daemon needs for one job, and for a build raises the
// fence of its workspace.
func (a *api) assembleJob(ctx context.Context, tx *store.Store, job store.ProvisionerJob, known int64) (out *client.AcquiredJob, err error) {
	out = &client.AcquiredJob{
		AttemptID: *job.AttemptID, Secret: newSecret(43), Number: int(job.Attempts),
		ID: job.ID, Type: job.Type, CreatedAt: job.CreatedAt.Time, OrganizationID: job.OrganizationID, AccessURL: a.accessURL.String(), Clocks: a.clocks(),
		Metadata: client.JobMetadata{Transition: client.TransitionStart, OwnerGroups: []string{}, OwnerRoles: []client.OwnerRole{}},
	}
	if out.Variables, err = a.withStore(tx).versionVariables(ctx, job.OrganizationID, job.TemplateVersionID); err != nil {
		return nil, err
	}
	if job.Type == client.JobWorkspaceBuild {
		return out, a.assembleBuild(ctx, tx, job, known, out)
	}
	org, err := tx.GetOrganization(ctx, job.OrganizationID)
	if err != nil {
		return nil, err
	}
	file, err := tx.GetFileInfo(ctx, job.FileID)
	if err != nil {
		return nil, err
	}
	version, err := tx.GetTemplateVersion(ctx, job.TemplateVersionID)
	if err != nil {
		return nil, err
	}
	out.OrganizationName, out.SourceHash, out.Metadata.TemplateVersion = org.Name, file.Hash, version.Name
	if job.Type == client.JobTemplateVersionDryRun {
		return out, assembleDryRun(ctx, tx, job, out)
	}
	return out, a.assembleImport(ctx, tx, job, out)
}

// withStore is the same api reading through a transaction.
func (a *api) withStore(tx *store.Store) *api {
	inner := *a
	inner.store = tx
	return &inner
}

// assembleImport: imports know no workspace, only whose groups there are.
func (a *api) assembleImport(ctx context.Context, tx *store.Store, job store.ProvisionerJob, out *client.AcquiredJob) error {
	groups, err := tx.ListGroupsOfUser(ctx, store.ListGroupsOfUserParams{OrganizationID: job.OrganizationID, UserID: job.InitiatorID})
	if err != nil {
		return err
	}
	for _, g := range groups {
		out.Metadata.OwnerGroups = append(out.Metadata.OwnerGroups, g.Name)
	}
	return nil
}

// dryRunInput is the input column of a dry-run job; its sealed input is a list
// of client.JobVariable.
type dryRunInput struct {
	WorkspaceName string                  `json:"workspace_name"`
	Parameters    []client.BuildParameter `json:"parameters"`
}

func assembleDryRun(ctx context.Context, tx *store.Store, job store.ProvisionerJob, out *client.AcquiredJob) (err error) {
	var in dryRunInput
	if err := json.Unmarshal([]byte(job.Input), &in); err != nil {
		return fmt.Errorf("read the dry run's input: %w", err)
	}
	if out.Variables, err = dryRunVariablesOf(ctx, tx, job); err != nil {
		return err
	}
	workspaceID, ownerID := uuid.New(), uuid.New()
	out.Parameters = in.Parameters
	out.Metadata.WorkspaceID, out.Metadata.OwnerID = &workspaceID, &ownerID
	out.Metadata.WorkspaceName, out.Metadata.OwnerName = in.WorkspaceName, "dryrunner"
	if in.WorkspaceName == "" {
		out.Metadata.WorkspaceName = "dryrun"
	}
	return nil
}

// assembleBuild adds the workspace, its owner, the parameters and the newest state.
func (a *api) assembleBuild(ctx context.Context, tx *store.Store, job store.ProvisionerJob, known int64, out *client.AcquiredJob) error {
	b, err := tx.GetBuildToHandOut(ctx, store.GetBuildToHandOutParams{
		OrganizationID: job.OrganizationID, ID: *job.WorkspaceBuildID, FileID: job.FileID, ReportsSince: a.reportsSince(),
	})
	if err != nil {
		return err
	}
	if out.Fence, err = a.raiseFence(ctx, tx, job, b, known); err != nil {
		return err
	}
	if err := assembleParameters(b, out); err != nil {
		return err
	}
	out.OrganizationName, out.SourceHash, out.Graph, out.LogLevel = b.OrganizationName, b.SourceHash, json.RawMessage(b.Graph), b.LogLevel
	out.Split = splits(b.Priced, b.Transition)
	m := &out.Metadata
	m.Transition, m.WorkspaceID, m.WorkspaceName, m.WorkspaceBuildID = b.Transition, &b.WorkspaceID, b.WorkspaceName, job.WorkspaceBuildID
	m.TemplateID, m.TemplateName, m.TemplateVersion = &b.TemplateID, b.TemplateName, b.VersionName
	if err := a.assembleState(ctx, tx, job, b, out); err != nil {
		return err
	}
	return a.assembleOwner(ctx, tx, job, b, m)
}

func assembleParameters(b store.GetBuildToHandOutRow, out *client.AcquiredJob) error {
	if err := json.Unmarshal([]byte(b.Parameters), &out.Parameters); err != nil {
		return fmt.Errorf("read the build's parameters: %w", err)
	}
	if b.BuildNumber == 1 {
		return nil
	}
	return json.Unmarshal([]byte(b.PreviousParameters), &out.PreviousParameters)
}

// assembleState takes the newest acknowledged state, whoever wrote it, and
// what only salvage knows. An orphaning delete gets neither, so that the engine
// destroys nothing.
func (a *api) assembleState(ctx context.Context, tx *store.Store, job store.ProvisionerJob, b store.GetBuildToHandOutRow, out *client.AcquiredJob) error {
	if b.Orphan {
		return nil
	}
	if b.HasState {
		row, err := tx.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: job.OrganizationID, WorkspaceID: b.WorkspaceID})
		if err != nil {
			return err
		}
		if out.State, err = tx.UnsealState(ctx, job.OrganizationID, row.Data); err != nil {
			return err
		}
	}
	if !b.HasSalvage {
		return nil
	}
	return a.mergeSalvage(ctx, tx, job, out)
}

func (a *api) assembleOwner(ctx context.Context, tx *store.Store, job store.ProvisionerJob, b store.GetBuildToHandOutRow, m *client.JobMetadata) error {
	m.OwnerID, m.OwnerName, m.OwnerFullName, m.OwnerEmail, m.OwnerLoginType = &b.OwnerID, b.Username, b.OwnerFullName, b.Email, b.LoginType
	m.OwnerSSHPublicKey = b.SshPublicKey
	memberships, err := tx.ListMembershipsOfUser(ctx, b.OwnerID)
	if err != nil {
		return err
	}
	member := slices.ContainsFunc(memberships, func(m store.ListMembershipsOfUserRow) bool { return m.OrganizationID == job.OrganizationID })
	if m.OwnerSSHPrivateKey, err = ownerSSHKey(ctx, tx, b, member); err != nil {
		return err
	}
	groups, err := tx.ListGroupsOfUser(ctx, store.ListGroupsOfUserParams{OrganizationID: job.OrganizationID, UserID: b.OwnerID})
	if err != nil {
		return err
	}
	for _, g := range groups {
		m.OwnerGroups = append(m.OwnerGroups, g.Name)
	}
	owner := store.User{ID: b.OwnerID, LoginType: b.LoginType, Status: b.OwnerStatus, Roles: b.OwnerRoles}
	if m.OwnerRoles, err = a.ownerRoles(ctx, tx, job.OrganizationID, owner, memberships); err != nil {
		return err
	}
	m.OwnerSessionToken, err = a.workspaceToken(ctx, tx, b, owner)
	return err
}

// ownerSSHKey is the owner's private key, which opens what lies outside of the
// organization: nobody gets it by making a workspace for somebody else. It is
// empty until the owner, who must still be a member, has asked for a build.
func ownerSSHKey(ctx context.Context, tx *store.Store, b store.GetBuildToHandOutRow, member bool) (string, error) {
	if !member || !b.AskedByOwner || len(b.SshPrivateKey) == 0 {
		return "", nil
	}
	private, err := tx.Unseal(ctx, uuid.Nil, store.PurposeSSHKey, b.SshPrivateKey)
	return string(private), err
}

// ownerRoles lists the owner's roles at the site and in the workspace's
// organization: what they are elsewhere is no business of its daemons.
func (a *api) ownerRoles(ctx context.Context, tx *store.Store, organizationID uuid.UUID, owner store.User, memberships []store.ListMembershipsOfUserRow) ([]client.OwnerRole, error) {
	roles := []client.OwnerRole{}
	for _, r := range authz.SiteRoles(owner.Roles) {
		roles = append(roles, client.OwnerRole{Name: r.Name})
	}
	var held []string
	for _, m := range memberships {
		held = append(held, m.Roles...)
	}
	custom, err := a.customRolesOfUser(ctx, tx, owner.ID, held)
	if err != nil {
		return nil, err
	}
	for _, m := range memberships {
		if m.OrganizationID != organizationID {
			continue
		}
		for _, r := range authz.OrganizationRoles(m.OrganizationID, authz.Sharing(m.ShareableWorkspaceOwners), m.Roles, m.DefaultMemberRoles, custom[m.OrganizationID]) {
			roles = append(roles, client.OwnerRole{Name: r.Name, OrgID: m.OrganizationID.String()})
		}
	}
	return roles, nil
}

// workspaceToken makes the owner's session for a start, new each time, and
// takes the earlier one away; other transitions get none.
func (a *api) workspaceToken(ctx context.Context, tx *store.Store, b store.GetBuildToHandOutRow, owner store.User) (string, error) {
	if b.HasSession {
		if err := tx.DeleteAPIKeysOfWorkspace(ctx, &b.WorkspaceID); err != nil {
			return "", err
		}
	}
	if b.Transition != client.TransitionStart || owner.Status == client.UserSuspended {
		return "", nil
	}
	token, _, err := a.newSession(ctx, tx, newSessionParams{
		user: owner, loginType: owner.LoginType, tokenName: b.WorkspaceID.String() + "_session_token", lifetime: a.tokenLifetime(owner), workspaceID: &b.WorkspaceID,
	})
	return token, err
}
