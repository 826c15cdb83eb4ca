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
	"coder/internal/seal"
	"coder/store"
)

// Replicas say which deployment keys they have, so that none is left behind
// by a rotation. One that was not heard of for so long is gone.
const (
	keysLease       = "keys:"
	keysLeaseLength = time.Minute
	keysInterval    = 20 * time.Second
)

// oldKeysKept is how long an organization's earlier key stays after all was
// sealed again, for replies that read a row just before.
const oldKeysKept = time.Hour

// resealTime bounds how long a rotation answers nothing; what is left then
// is sealed again in the background.
const resealTime = 20 * time.Second

func (a *api) keyRoutes(r *router) {
	handle(r, post, "/deployment/keys/rotate", "Move to a new deployment key", onSite(authz.Update, authz.DeploymentConfig), a.rotateDeploymentKey)
	handle(r, post, "/organizations/{organization}/keys/rotate", "Give an organization a new sealing key", onSite(authz.Update, authz.DeploymentConfig), a.rotateOrganizationKey)
}

// rotateDeploymentKey wraps with a new key all that the current one wraps, in
// one transaction. The new key is durable where the server finds it at its
// next start before that.
func (a *api) rotateDeploymentKey(ctx context.Context, _ *struct{}) (*output[client.RotatedDeploymentKey], error) {
	a.rotating.Lock()
	defer a.rotating.Unlock()
	next, err := a.nextDeploymentKey(ctx)
	if err != nil {
		return nil, err
	}
	var done store.DeploymentKeyRotation
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if done, err = tx.RotateDeploymentKey(ctx, next); err != nil {
			return err
		}
		if err := a.checkReplicasHave(ctx, tx, next); err != nil {
			return err
		}
		return a.audit(ctx, tx, auditEntry{
			kind: client.AuditOrganization, action: client.AuditWrite, target: "deployment",
			before: auditKeyID{done.From}, after: auditKeyID{done.To}, fields: map[string]any{"extension": "deployment_key"},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("rotate the deployment key: %w", err)
	}
	a.logger.InfoContext(ctx, "deployment key rotated", "from", done.From, "to", done.To, "organizations", done.Organizations, "ssh_keys", done.SSHKeys)
	return reply(client.RotatedDeploymentKey{
		From: done.From, To: done.To, Organizations: done.Organizations, SSHKeys: done.SSHKeys, KeyFile: a.options.DeploymentKeyFile,
	}), nil
}

type auditKeyID struct {
	KeyID string `json:"key_id"`
}

// nextDeploymentKey is the one key that the server has and the database never
// had. The server makes it where it keeps its keys itself.
func (a *api) nextDeploymentKey(ctx context.Context) (seal.Key, error) {
	unused, err := a.store.UnusedDeploymentKeys(ctx)
	switch {
	case err != nil:
		return seal.Key{}, err
	case len(unused) == 1:
		return unused[0], nil
	case len(unused) > 1:
		var ids []string
		for _, k := range unused {
			ids = append(ids, k.ID())
		}
		return seal.Key{}, refuse(http.StatusConflict, "The server was given several new deployment keys.", "Give it one beside the current one; these were never used: "+strings.Join(ids, ", ")+".")
	case a.options.DeploymentKeyFile == "":
		return seal.Key{}, refuse(http.StatusConflict, "The server has no new deployment key to move to.",
			"Make one (openssl rand -hex 32), give every replica CODER_DEPLOYMENT_KEY=<current>,<new>, restart them one by one, and rotate then. A key that was in use before cannot come back.")
	}
	k, err := seal.AddToFile(a.options.DeploymentKeyFile)
	if err != nil {
		return seal.Key{}, err
	}
	a.store.LearnDeploymentKey(k)
	return k, nil
}

// checkReplicasHave refuses a rotation that would leave a running replica
// without the key. The transaction holds new ones back.
func (a *api) checkReplicasHave(ctx context.Context, tx *store.Store, k seal.Key) error {
	leases, err := tx.ListLeases(ctx, store.At(a.now()))
	if err != nil {
		return fmt.Errorf("list the replicas: %w", err)
	}
	lacking := int64(0)
	for _, l := range leases {
		if strings.HasPrefix(l.Name, keysLease) && !slices.Contains(strings.Split(l.Holder, ","), k.ID()) {
			lacking++
		}
	}
	if lacking == 0 {
		return nil
	}
	return refuse(http.StatusConflict, fmt.Sprintf("Nothing was changed: %s of this deployment %s not have the new deployment key %s.", plural(lacking, "replica"), doOrDoes(lacking), k.ID()),
		"Give every replica CODER_DEPLOYMENT_KEY=<current>,<new> and restart it; one that was killed counts for a minute.")
}

func doOrDoes(n int64) string {
	if n == 1 {
		return "does"
	}
	return "do"
}

// announceKeys says which deployment keys this replica has, in a transaction
// that a rotation cannot pass unseen. It fails when the current one is not
// among them. SQLite has one server.
func (a *api) announceKeys(ctx context.Context) error {
	if a.store.Dialect() != store.PostgreSQL {
		return nil
	}
	now := a.now()
	return a.store.InTx(ctx, func(tx *store.Store) error {
		if err := tx.CheckDeploymentKey(ctx); err != nil {
			return err
		}
		_, err := tx.AcquireLease(ctx, store.AcquireLeaseParams{
			Name: keysLease + a.replica, Holder: a.keyIDs(), ExpiresAt: store.At(now.Add(keysLeaseLength)), NowAt: store.At(now), FarAt: store.At(now.Add(2 * keysLeaseLength)),
		})
		return err
	})
}

func (a *api) keyIDs() string { return strings.Join(a.store.KnownDeploymentKeys(), ",") }

// keepKeys announces this replica's keys, and brings to an end what rotations
// of organizations' keys have left: after a crash too, at any replica.
func (a *api) keepKeys(ctx context.Context) error {
	defer a.withdrawKeys(ctx)
	return every(ctx, keysInterval, func(ctx context.Context) error {
		if err := a.announceKeys(ctx); err != nil {
			return err
		}
		organizations, err := a.store.OrganizationsWithOldKeys(ctx)
		if err != nil {
			return err
		}
		for _, id := range organizations {
			if err := a.finishKeyRotation(ctx, id); err != nil {
				return err
			}
		}
		return a.store.DeleteExpiredLeases(ctx, store.At(a.now().Add(-keyKept)))
	})
}

func (a *api) finishKeyRotation(ctx context.Context, organizationID uuid.UUID) error {
	if _, err := a.store.Reseal(ctx, organizationID); err != nil {
		return ignoreNotFound(err)
	}
	_, err := a.store.DropSealingKeys(ctx, organizationID, a.now().Add(-oldKeysKept))
	return ignoreNotFound(err)
}

// withdrawKeys lets a rotation go on at once after this replica has stopped.
func (a *api) withdrawKeys(ctx context.Context) {
	if a.store.Dialect() != store.PostgreSQL {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := a.store.DeleteLease(ctx, store.DeleteLeaseParams{Name: keysLease + a.replica, Holder: a.keyIDs()}); err != nil {
		a.logger.DebugContext(ctx, "replica not withdrawn; it counts for a minute more", "error", err)
	}
}

// rotateOrganizationKey gives the organization a new key at once, and seals
// again what the earlier ones have sealed.
func (a *api) rotateOrganizationKey(ctx context.Context, in *OrganizationPath) (*output[client.RotatedOrganizationKey], error) {
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	var number uint32
	err = a.store.InTx(ctx, func(tx *store.Store) (err error) {
		if number, err = tx.RotateSealingKey(ctx, org.ID, a.now()); err != nil {
			return err
		}
		entry := organizationEntry(client.AuditWrite, org)
		entry.secrets, entry.fields = []string{"sealing_key"}, map[string]any{"extension": "organization_key", "number": number}
		return a.audit(ctx, tx, entry)
	})
	if errors.Is(err, store.ErrTooManyKeys) {
		return nil, refuse(http.StatusConflict, "The key of this organization was rotated too often of late; nothing was changed.", "Earlier keys are destroyed an hour after everything was sealed again; try again then.")
	}
	if err != nil {
		return nil, fmt.Errorf("rotate the key of organization %s: %w", org.ID, err)
	}
	short, cancel := context.WithTimeout(ctx, resealTime)
	defer cancel()
	done, err := a.store.Reseal(short, org.ID)
	if err != nil && short.Err() == nil {
		a.logger.ErrorContext(ctx, "sealing again with the new key of an organization was cut off; it is tried again", "organization", org.ID, "error", err)
	}
	return reply(client.RotatedOrganizationKey{
		Number: int(number), States: done.States, Variables: done.Variables, HandOuts: done.HandOuts, DryRuns: done.DryRuns, Resources: done.Resources, Agents: done.Agents, Pending: err != nil,
	}), nil
}
