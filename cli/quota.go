package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

func newQuota(env *Env, selected *string) *cobra.Command {
	return group("quota", "Show and set what the organization may spend and run", []string{"quotas"},
		newQuotaShow(env, selected), newQuotaSet(env, selected))
}

// quotaRow is a limit with what is used of it.
type quotaRow struct {
	limit string
	used  int64
	most  *int64
}

func quotaTable() table[quotaRow] {
	return table[quotaRow]{columns: []column[quotaRow]{
		{"limit", func(r quotaRow) string { return r.limit }},
		{"used", func(r quotaRow) string { return strconv.FormatInt(r.used, 10) }},
		{"most", func(r quotaRow) string { return limitCell(r.most) }},
	}}
}

func limitCell(limit *int64) string {
	if limit == nil {
		return "none"
	}
	return strconv.FormatInt(*limit, 10)
}

func quotaRows(q client.OrganizationQuota) []quotaRow {
	return []quotaRow{
		{"daily cost", q.DailyCost, q.MaxDailyCost},
		{"running workspaces", q.RunningWorkspaces, q.MaxRunningWorkspaces},
	}
}

type quotaShowOptions struct {
	env   *Env
	named *string
	list  listOptions
}

func newQuotaShow(env *Env, selected *string) *cobra.Command {
	o := &quotaShowOptions{env: env, named: selected}
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the organization's limits and what is used of them",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addList(cmd, &o.list, quotaTable())
	return cmd
}

func (o *quotaShowOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, *o.named)
	if err != nil {
		return err
	}
	quota, err := c.OrganizationQuota(ctx, org.ID.String())
	if err != nil {
		return fmt.Errorf("read the organization's quota: %w", err)
	}
	return printList(o.env, o.list, quotaTable(), quotaRows(quota), quota, "")
}

type quotaSetOptions struct {
	env       *Env
	named     *string
	dailyCost limitValue
	running   limitValue
	changed   func(string) bool
	list      listOptions
}

func newQuotaSet(env *Env, selected *string) *cobra.Command {
	o := &quotaSetOptions{env: env, named: selected}
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set limits of the organization; those not given stay",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.changed = cmd.Flags().Changed
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().Var(&o.dailyCost, "max-daily-cost", "Credits a day that all workspaces may cost together, or none")
	cmd.Flags().Var(&o.running, "max-running-workspaces", "How many workspaces may run at a time, or none")
	addList(cmd, &o.list, quotaTable())
	return cmd
}

func (o *quotaSetOptions) run(ctx context.Context) error {
	if !o.changed("max-daily-cost") && !o.changed("max-running-workspaces") {
		return errors.New("nothing to set: give --max-daily-cost or --max-running-workspaces")
	}
	c, org, err := o.env.clientAndOrganization(ctx, *o.named)
	if err != nil {
		return err
	}
	quota, err := c.OrganizationQuota(ctx, org.ID.String())
	if err != nil {
		return fmt.Errorf("read the organization's quota: %w", err)
	}
	req := client.UpdateOrganizationQuotaRequest{MaxDailyCost: quota.MaxDailyCost, MaxRunningWorkspaces: quota.MaxRunningWorkspaces}
	if o.changed("max-daily-cost") {
		req.MaxDailyCost = o.dailyCost.limit
	}
	if o.changed("max-running-workspaces") {
		req.MaxRunningWorkspaces = o.running.limit
	}
	if quota, err = c.UpdateOrganizationQuota(ctx, org.ID.String(), req); err != nil {
		return fmt.Errorf("set the organization's quota: %w", err)
	}
	return printList(o.env, o.list, quotaTable(), quotaRows(quota), quota, "")
}

// limitValue is the value of a flag for a limit: a whole number from 0, or none.
type limitValue struct{ limit *int64 }

func (v *limitValue) String() string { return "" }
func (v *limitValue) Type() string   { return "number|none" }

func (v *limitValue) Set(text string) error {
	if strings.EqualFold(text, "none") {
		v.limit = nil
		return nil
	}
	limit, err := strconv.ParseInt(text, 10, 64)
	if err != nil || limit < 0 {
		return errors.New("wanted a whole number from 0, or none")
	}
	v.limit = &limit
	return nil
}
