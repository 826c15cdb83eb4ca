package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// errDraining: the daemon takes no new job until it is resumed.
var errDraining = errors.New("the daemon is draining")

type OrganizationDaemonPath struct {
	OrganizationPath
	Daemon uuid.UUID `path:"daemon" format:"uuid"`
}

func daemonTopic(id uuid.UUID) string { return "daemon:" + id.String() }

// drainProvisionerDaemon lets a daemon finish its job and take no other. Once
// it has answered, none is handed out: admitDaemon.
func (a *api) drainProvisionerDaemon(ctx context.Context, in *OrganizationDaemonPath) (*output[client.ProvisionerDaemon], error) {
	return a.setDrained(ctx, in.Daemon, store.At(a.now()))
}

func (a *api) resumeProvisionerDaemon(ctx context.Context, in *OrganizationDaemonPath) (*output[client.ProvisionerDaemon], error) {
	return a.setDrained(ctx, in.Daemon, store.Time{})
}

// setDrained changes, records and tells it; what is so already stays.
func (a *api) setDrained(ctx context.Context, id uuid.UUID, at store.Time) (*output[client.ProvisionerDaemon], error) {
	org := organizationFrom(ctx)
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		before, err := tx.GetDaemonOfOrganization(ctx, store.GetDaemonOfOrganizationParams{OrganizationID: org.ID, ID: id})
		if err != nil || before.DrainedAt.IsZero() == at.IsZero() {
			return err
		}
		after, err := tx.SetDaemonDrained(ctx, store.SetDaemonDrainedParams{OrganizationID: org.ID, ID: id, DrainedAt: at})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, provisionerDaemonChanged(org, before, after))
	})
	if err != nil {
		return nil, err
	}
	a.queues.fleetChanged(org.ID)
	a.bus.Publish(daemonTopic(id))
	return a.daemonReply(ctx, org, id)
}

// admitDaemon refuses a hand-out, in its transaction, to a daemon that drains
// or may not have jobs any more. It writes the daemon's row, so that a hand-out
// and a drain that meet come one after the other: who was told that a daemon
// drains sees it take no job any more.
func (a *api) admitDaemon(ctx context.Context, d store.ProvisionerDaemon) error {
	if err := a.credentialAgain(ctx); err != nil {
		return err
	}
	cred := requestFrom(ctx).daemon
	if cred.user != nil { // whose rights are by the tags that the daemon has now
		if _, err := a.ownDaemon(ctx, d.ID); err != nil {
			return err
		}
	}
	rows, err := a.store.AdmitDaemon(ctx, store.AdmitDaemonParams{OrganizationID: d.OrganizationID, ID: d.ID, KeyID: cred.keyID, LastSeenAt: store.At(a.now())})
	if err != nil || rows > 0 {
		return err
	}
	if _, err := a.ownDaemon(ctx, d.ID); err != nil {
		return err
	}
	return errDraining
}

// standAside keeps the long poll of a daemon that drains open, out of the line
// of those that wait for a job, until it is resumed or asks again.
func (a *api) standAside(ctx context.Context, id uuid.UUID, timeout <-chan time.Time) error {
	wake, stop := a.bus.Subscribe(daemonTopic(id))
	defer stop()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		d, err := a.ownDaemon(ctx, id)
		if err != nil || d.DrainedAt.IsZero() {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.closing:
			return nil
		case <-timeout:
			return nil
		case <-wake:
		case <-again.C:
		}
		if err := a.daemonAgain(ctx, id); err != nil {
			return err
		}
	}
}
