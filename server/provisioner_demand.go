package server

import (
	"context"
	"maps"
	"time"

	"coder/client"
	"coder/store"
)

type demandInput struct {
	OrganizationPath
	Tags string `query:"tags" doc:"A JSON object: the tags of the daemons that are scaled"`
}

// provisionerDemand tells an autoscaler how many daemons with certain tags are
// wanted now.
func (a *api) provisionerDemand(ctx context.Context, in *demandInput) (*output[client.ProvisionerDemand], error) {
	asked, err := parseTagsQuery(in.Tags)
	if err != nil {
		return nil, err
	}
	org := organizationFrom(ctx)
	tags := normalizeTags(asked, callerID(ctx))
	jobs, err := a.store.ListActiveJobsOfOrganization(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	daemons, err := a.store.ListProvisionerDaemons(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	out := client.ProvisionerDemand{Tags: tags}
	for _, job := range jobs {
		if tagsMatch(job.Tags, tags) {
			a.countDemand(&out, job)
		}
	}
	for _, d := range daemons {
		if maps.Equal(d.Tags, tags) && a.isOnline(d.LastSeenAt, d.StoppedAt) {
			out.Online++
		}
	}
	out.Wanted = out.Pending + out.Running
	return reply(out), nil
}

func (a *api) countDemand(out *client.ProvisionerDemand, job store.ProvisionerJob) {
	if job.Status != client.JobPending {
		out.Running++
		return
	}
	out.Pending++
	out.OldestWaitSeconds = max(out.OldestWaitSeconds, int64(a.now().Sub(job.CreatedAt.Time)/time.Second))
}
