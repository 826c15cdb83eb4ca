package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// maxReadme is how many bytes of a README are kept.
const maxReadme = 1 << 20

// finishImport stores what an import found out, in the transaction that ends
// it. A failed import keeps what it could still read: above all the variables,
// so that people can be asked for their values.
func (a *api) finishImport(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *client.ImportResult, ok bool) error {
	if result == nil {
		return nil
	}
	version, err := tx.GetTemplateVersion(ctx, job.TemplateVersionID)
	if err != nil {
		return fmt.Errorf("find the version of import %s: %w", job.ID, err)
	}
	if err := a.storeImportedVariables(ctx, tx, version, result.Variables); err != nil {
		return fmt.Errorf("store the variables of version %s: %w", version.ID, err)
	}
	startCost := max(boundCost(result.StartCost), resourceCost(result.StartResources))
	stopCost := max(boundCost(result.StopCost), resourceCost(result.StopResources))
	err = tx.SetTemplateVersionImport(ctx, store.SetTemplateVersionImportParams{
		OrganizationID: version.OrganizationID, ID: version.ID, Readme: cutText(result.Readme, maxReadme), Parameters: store.JSON(importedParameters(result.Parameters)),
		Presets: store.JSON(importedPresets(version.ID, result.Presets)), ExternalAuth: store.JSON(nonNil(result.ExternalAuth)), Graph: string(result.Graph),
		StartCost: startCost, StopCost: stopCost, Priced: result.Priced || startCost > 0 || stopCost > 0, HasExternalAgent: result.HasExternalAgent, UpdatedAt: store.At(a.now()),
	})
	if err != nil || !ok {
		return err
	}
	if len(result.ExternalAuth) > 0 {
		if err := a.serverLog(ctx, tx, job, "warn", "External authentication", unknownProviders(result.ExternalAuth)); err != nil {
			return err
		}
	}
	if err := a.insertResources(ctx, tx, job, client.TransitionStart, result.StartResources); err != nil {
		return err
	}
	return a.insertResources(ctx, tx, job, client.TransitionStop, result.StopResources)
}

// finishDryRun stores the resources that a plan would make.
func (a *api) finishDryRun(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *client.DryRunResult) error {
	return a.insertResources(ctx, tx, job, client.TransitionStart, result.Resources)
}

// unknownProviders says what is missing; the same words in the log and on the route.
func unknownProviders(ids []string) string {
	return fmt.Sprintf("The template asks for the external authentication providers %s, and this server has none of that name.", strings.Join(ids, ", "))
}

func importedParameters(parameters []client.TemplateVersionParameter) []client.TemplateVersionParameter {
	out := make([]client.TemplateVersionParameter, len(parameters))
	for i, p := range parameters {
		p.Options = nonNil(p.Options)
		out[i] = p
	}
	return out
}

// importedPresets gives each preset an id that a repeated import of the
// version would give again.
func importedPresets(versionID uuid.UUID, presets []client.ImportedPreset) []client.Preset {
	out := make([]client.Preset, len(presets))
	for i, p := range presets {
		out[i] = client.Preset{
			ID: uuid.NewSHA1(versionID, []byte("preset:"+p.Name)), Name: p.Name, Description: p.Description, Icon: p.Icon, Default: p.Default,
			DesiredPrebuildInstances: p.Prebuilds, Parameters: []client.PresetParameter{},
		}
		for _, value := range p.Parameters {
			out[i].Parameters = append(out[i].Parameters, client.PresetParameter(value))
		}
	}
	return out
}
