package ui

import (
	"cmp"
	"context"
	"slices"

	"coder/client"
)

func (u *UI) healthRoutes(on *table) {
	on.page(get, "/health", u.health)
}

type healthPage struct {
	page
	Report client.HealthReport
	// Organizations are those that the person may see, by id.
	Organizations map[string]namedOrganization
}

func (u *UI) health(ctx context.Context, v *visit) (reply, error) {
	report, err := v.api.Health(ctx)
	if err != nil {
		return nil, err
	}
	p, err := v.page(ctx, "Health")
	if err != nil {
		return nil, err
	}
	all, err := v.api.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	data := &healthPage{page: p, Report: report, Organizations: map[string]namedOrganization{}}
	for _, o := range all {
		data.Organizations[o.ID.String()] = namedOrganization{o.Name, cmp.Or(o.DisplayName, o.Name)}
	}
	// What is to be looked after comes first.
	slices.SortStableFunc(data.Report.ProvisionerDaemons.Items, func(a, b client.DaemonReport) int {
		return cmp.Or(cmp.Compare(len(b.Warnings), len(a.Warnings)), cmp.Compare(a.Daemon.Name, b.Daemon.Name))
	})
	return show("health.html", data), nil
}
