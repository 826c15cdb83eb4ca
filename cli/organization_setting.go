package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"coder/client"
)

func newOrganizationSettings(env *Env, selected *string) *cobra.Command {
	return group("settings", "See and change settings of an organization", []string{"setting"},
		group("show", "Show a setting as JSON", nil, newSharingSettingShow(env, selected)),
		group("set", "Change a setting by the JSON on standard input", nil, newSharingSettingSet(env, selected)))
}

func newSharingSettingShow(env *Env, selected *string) *cobra.Command {
	return &cobra.Command{
		Use:     "workspace-sharing",
		Aliases: []string{"workspacesharing"},
		Short:   "Show whose workspaces may be shared",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, org, err := env.clientAndOrganization(cmd.Context(), *selected)
			if err != nil {
				return err
			}
			settings, err := c.WorkspaceSharingSettings(cmd.Context(), org.ID.String())
			if err != nil {
				return err
			}
			return env.printSetting(settings)
		},
	}
}

func newSharingSettingSet(env *Env, selected *string) *cobra.Command {
	return &cobra.Command{
		Use:     "workspace-sharing",
		Aliases: []string{"workspacesharing"},
		Short:   "Say whose workspaces may be shared",
		Long: `Say whose workspaces may be shared: none, everyone or service_accounts. What may
no longer be shared is shared with nobody from that moment on.`,
		Example: `  echo '{"shareable_workspace_owners": "none"}' | coder organizations settings set workspace-sharing --org data-platform`,
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return env.setSharing(cmd.Context(), *selected) },
	}
}

func (e *Env) setSharing(ctx context.Context, named string) error {
	var req client.UpdateWorkspaceSharingSettingsRequest
	if err := json.NewDecoder(e.Stdin).Decode(&req); err != nil {
		return fmt.Errorf("standard input holds no JSON object such as {\"shareable_workspace_owners\": \"everyone\"}: %w", err)
	}
	c, org, err := e.clientAndOrganization(ctx, named)
	if err != nil {
		return err
	}
	settings, err := c.UpdateWorkspaceSharingSettings(ctx, org.ID.String(), req)
	if err != nil {
		return fmt.Errorf("change the setting of %s: %w", org.Name, err)
	}
	return e.printSetting(settings)
}

// printSetting writes JSON indented with tabs, as the reference has it.
func (e *Env) printSetting(value any) error {
	out := json.NewEncoder(e.Stdout)
	out.SetIndent("", "\t")
	return out.Encode(value)
}
