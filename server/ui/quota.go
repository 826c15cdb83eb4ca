package ui

import (
	"cmp"
	"context"
	"strconv"

	"coder/client"
)

func (u *UI) quotaRoutes(on *table) {
	on.list("/organizations/{organization}/quota", u.quota)
	on.page(post, "/organizations/{organization}/quota", u.changeQuota)
}

type quotaPage struct {
	organizationPage
	Limits []quotaLimit
	// Own is what the person's own workspaces cost and may cost.
	Own  quotaLimit
	Form form
}

// quotaLimit is a limit with what is used of it.
type quotaLimit struct {
	ID, Title, Unit, About string
	Used                   int64
	// Most is nil where nothing is limited.
	Most *int64
}

// Full tells whether nothing more fits in what there is.
func (l quotaLimit) Full() bool { return l.Most != nil && l.Used >= *l.Most && l.Used > 0 }

// HasRoom tells whether the limit lets anything be.
func (l quotaLimit) HasRoom() bool { return *l.Most > 0 }

// Scale is the length of a meter, which cannot be 0.
func (l quotaLimit) Scale() int64 { return max(1, *l.Most) }

// Nearly is where a meter changes its colour: nine tenths of the limit.
func (l quotaLimit) Nearly() int64 { return *l.Most - *l.Most/10 }

func quotaFields(q client.OrganizationQuota) form {
	return form{Fields: []field{
		{Name: "max_daily_cost", Label: "Credits a day", Kind: "number", Min: "0", Value: limitText(q.MaxDailyCost), Hint: "What all workspaces may cost together. Empty is no limit."},
		{Name: "max_running_workspaces", Label: "Running workspaces", Kind: "number", Min: "0", Value: limitText(q.MaxRunningWorkspaces), Hint: "How many may run at a time. Empty is no limit."},
	}}
}

func limitText(limit *int64) string {
	if limit == nil {
		return ""
	}
	return strconv.FormatInt(*limit, 10)
}

// limit reads a field that may be empty for no limit.
func (f *form) limit(name string) (*int64, error) {
	text := f.value(name)
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, badField(name, "This is not a whole number; leave it empty for no limit.")
	}
	return &n, nil
}

func (v *visit) quotaPage(ctx context.Context) (*quotaPage, error) {
	p, err := v.organizationPage(ctx, "quota", "Quotas")
	if err != nil {
		return nil, err
	}
	q, err := v.api.OrganizationQuota(ctx, p.Organization.Name)
	if err != nil {
		return nil, err
	}
	own, err := v.api.WorkspaceQuota(ctx, p.Organization.Name, client.Me)
	if err != nil {
		return nil, err
	}
	return &quotaPage{
		organizationPage: p, Form: quotaFields(q).guardedByContent(),
		Limits: []quotaLimit{
			{"cost", "Cost a day", "credits", "All workspaces together.", q.DailyCost, q.MaxDailyCost},
			{"running", "Running workspaces", "running", "Those that are being started count too.", q.RunningWorkspaces, q.MaxRunningWorkspaces},
		},
		Own: quotaLimit{"own", "Yours", "credits a day", "What the groups allow that you are in, added up.", own.CreditsConsumed, &own.Budget},
	}, nil
}

func (u *UI) quota(ctx context.Context, v *visit) (reply, error) {
	p, err := v.quotaPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("quota.html", p), nil
}

func (u *UI) changeQuota(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.quotaPage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	cost, err := p.Form.limit("max_daily_cost")
	running, runningErr := p.Form.limit("max_running_workspaces")
	err = cmp.Or(err, runningErr)
	if err == nil {
		err = p.Form.stale()
	}
	if err == nil {
		_, err = v.api.UpdateOrganizationQuota(ctx, p.Organization.Name, client.UpdateOrganizationQuotaRequest{MaxDailyCost: cost, MaxRunningWorkspaces: running})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "quota.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("quota"), said: "The limits were saved. What stands already is not touched."}, nil
}
