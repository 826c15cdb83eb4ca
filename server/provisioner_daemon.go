package server

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

type listDaemonsInput struct {
	OrganizationPath
	Limit   int      `query:"limit" minimum:"1" default:"50"`
	IDs     []string `query:"ids" format:"uuid"`
	Tags    string   `query:"tags" doc:"A JSON object; daemons must carry these"`
	Status  []string `query:"status" enum:"offline,idle,busy"`
	Offline bool     `query:"offline" doc:"Show offline daemons too"`
	MaxAge  string   `query:"max_age" doc:"Seen within this Go duration, as 10m"`
}

func (a *api) listProvisionerDaemons(ctx context.Context, in *listDaemonsInput) (*output[[]client.ProvisionerDaemon], error) {
	keep, err := a.daemonFilter(in)
	if err != nil {
		return nil, err
	}
	out, err := a.listedDaemons(ctx, organizationFrom(ctx), keep)
	if err != nil {
		return nil, err
	}
	return reply(out[:min(len(out), in.Limit)]), nil
}

type keepDaemon func(client.ProvisionerDaemon, store.ListProvisionerDaemonsRow) bool

func (a *api) listedDaemons(ctx context.Context, org store.Organization, keep keepDaemon) ([]client.ProvisionerDaemon, error) {
	rows, err := a.store.ListProvisionerDaemons(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	jobs, err := a.store.LatestJobsOfDaemons(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	out := []client.ProvisionerDaemon{}
	for _, row := range rows {
		if d := a.listedDaemon(org.Name, row, jobs); keep(d, row) {
			out = append(out, d)
		}
	}
	return out, nil
}

// daemonReply is one daemon as the list has it.
func (a *api) daemonReply(ctx context.Context, org store.Organization, id uuid.UUID) (*output[client.ProvisionerDaemon], error) {
	found, err := a.listedDaemons(ctx, org, func(d client.ProvisionerDaemon, _ store.ListProvisionerDaemonsRow) bool { return d.ID == id })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNotFound()
	}
	return reply(found[0]), nil
}

// daemonFilter reads the filters of the list. Offline daemons are left out
// unless asked for.
func (a *api) daemonFilter(in *listDaemonsInput) (keepDaemon, error) {
	tags, err := parseTagsQuery(in.Tags)
	if err != nil {
		return nil, err
	}
	var maxAge time.Duration
	if in.MaxAge != "" {
		if maxAge, err = time.ParseDuration(in.MaxAge); err != nil || maxAge <= 0 {
			return nil, invalid("max_age", "%q is not a duration such as 10m.", in.MaxAge)
		}
	}
	offline := in.Offline || slices.Contains(in.Status, client.DaemonOffline)
	return func(d client.ProvisionerDaemon, row store.ListProvisionerDaemonsRow) bool {
		return (offline || *d.Status != client.DaemonOffline) &&
			(len(in.Status) == 0 || slices.Contains(in.Status, *d.Status)) &&
			(len(in.IDs) == 0 || containsID(in.IDs, d.ID)) &&
			hasTags(row.Tags, tags) &&
			(maxAge == 0 || a.now().Sub(row.LastSeenAt.Time) <= maxAge)
	}, nil
}

// listedDaemon fills what only this list knows: the key's name, the warnings,
// the status and the latest jobs, newest first.
func (a *api) listedDaemon(organization string, row store.ListProvisionerDaemonsRow, jobs []store.LatestJobsOfDaemonsRow) client.ProvisionerDaemon {
	d := provisionerDaemonResponse(row)
	d.KeyName = keyName(row)
	d.Warnings = a.daemonWarnings(store.ProvisionerDaemon{
		Name: row.Name, Version: row.Version, ApiVersion: row.ApiVersion, LastSeenAt: row.LastSeenAt, StoppedAt: row.StoppedAt, DrainedAt: row.DrainedAt, Trouble: row.Trouble,
	}, organization)
	for _, job := range jobs {
		if job.WorkerID == nil || *job.WorkerID != row.ID {
			continue
		}
		if job.CompletedAt.IsZero() && d.CurrentJob == nil {
			d.CurrentJob = daemonJobResponse(job)
		}
		if !job.CompletedAt.IsZero() && d.PreviousJob == nil {
			d.PreviousJob = daemonJobResponse(job)
		}
	}
	status := client.DaemonIdle
	switch {
	case !a.isOnline(row.LastSeenAt, row.StoppedAt):
		status = client.DaemonOffline
	case d.CurrentJob != nil:
		status = client.DaemonBusy
	}
	d.Status = &status
	return d
}

// keyName is null for a daemon whose key was deleted.
func keyName(row store.ListProvisionerDaemonsRow) *string {
	for _, key := range reservedKeys() {
		if key.ID == row.KeyID {
			return &key.Name
		}
	}
	if row.KeyName == "" {
		return nil
	}
	return &row.KeyName
}

func provisionerDaemonResponse(d store.ListProvisionerDaemonsRow) client.ProvisionerDaemon {
	return client.ProvisionerDaemon{
		ID: d.ID, OrganizationID: d.OrganizationID, KeyID: d.KeyID, CreatedAt: d.CreatedAt.Time, LastSeenAt: d.LastSeenAt.Ptr(), Name: d.Name,
		Version: d.Version, APIVersion: d.ApiVersion, Provisioners: nonNil(d.Provisioners), Tags: d.Tags,
		Draining: !d.DrainedAt.IsZero(), Warnings: []client.ProvisionerWarning{},
	}
}

func daemonJobResponse(j store.LatestJobsOfDaemonsRow) *client.ProvisionerDaemonJob {
	return &client.ProvisionerDaemonJob{
		ID: j.ID, Status: j.Status, TemplateName: j.TemplateName, TemplateIcon: j.TemplateIcon, TemplateDisplayName: j.TemplateDisplayName,
	}
}
