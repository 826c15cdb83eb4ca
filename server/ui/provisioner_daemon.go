package ui

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) provisionerDaemonRoutes(on *table) {
	const daemons = "/organizations/{organization}/provisioners"
	on.list(daemons, u.provisionerDaemons)
	on.page(post, daemons+"/{daemon}/{action}", u.actOnProvisionerDaemon)
}

// forgottenAfter is when a daemon that is gone leaves the list, unless all are
// asked for: those of an autoscaler come under ever new names.
const forgottenAfter = 7 * 24 * time.Hour

type provisionerDaemonsPage struct {
	organizationPage
	Daemons []client.ProvisionerDaemon
	// Key narrows to the daemons of one key; All shows those long gone too.
	Key string
	All bool
}

func (u *UI) provisionerDaemons(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "provisioners", "Provisioners")
	if err != nil {
		return nil, err
	}
	data := &provisionerDaemonsPage{organizationPage: p, Key: v.query("key"), All: v.query("all") != ""}
	req := client.ProvisionerDaemonsRequest{Offline: true, MaxAge: forgottenAfter}
	if data.All {
		req.MaxAge = 0
	}
	if data.Daemons, err = v.api.ProvisionerDaemons(ctx, p.Organization.ID.String(), req); err != nil {
		return nil, err
	}
	if data.Key != "" {
		data.Daemons = slices.DeleteFunc(data.Daemons, func(d client.ProvisionerDaemon) bool { return d.KeyName == nil || *d.KeyName != data.Key })
	}
	slices.SortStableFunc(data.Daemons, func(a, b client.ProvisionerDaemon) int {
		return cmp.Or(cmp.Compare(gone(a), gone(b)), cmp.Compare(a.Name, b.Name))
	})
	return show("provisioner_daemons.html", data), nil
}

// gone is 1 for a daemon that is not there, so that it comes last.
func gone(d client.ProvisionerDaemon) int {
	if daemonStatus(d) == client.DaemonOffline {
		return 1
	}
	return 0
}

func daemonStatus(d client.ProvisionerDaemon) string {
	if d.Status == nil {
		return client.DaemonOffline
	}
	return *d.Status
}

// Status is what a daemon does.
func (provisionerDaemonsPage) Status(d client.ProvisionerDaemon) string { return daemonStatus(d) }

// Online counts the daemons that are there.
func (p provisionerDaemonsPage) Online() int {
	n := 0
	for _, d := range p.Daemons {
		n += 1 - gone(d)
	}
	return n
}

// actOnProvisionerDaemon drains a daemon, or ends the drain.
func (u *UI) actOnProvisionerDaemon(ctx context.Context, v *visit) (reply, error) {
	organization := v.path("organization")
	id, err := uuid.Parse(v.path("daemon"))
	if err != nil {
		return nil, errNoPage
	}
	back := organizationPath(organization, "provisioners")
	switch v.path("action") {
	case "drain":
		d, err := v.api.DrainProvisionerDaemon(ctx, organization, id)
		return redirect{to: back, said: d.Name + " finishes what it runs, and takes no other job until it is resumed."}, err
	case "resume":
		d, err := v.api.ResumeProvisionerDaemon(ctx, organization, id)
		return redirect{to: back, said: d.Name + " takes jobs again."}, err
	}
	return nil, errNoPage
}
