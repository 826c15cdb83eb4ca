package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/template"
	"coder/store"
)

// mergeTags puts evaluated workspace tags over a job's own. They cannot move a
// job to the daemons of another user: scope and owner stay as they are.
func mergeTags(base store.StringMap, evaluated map[string]string) store.StringMap {
	out := maps.Clone(base)
	for key, value := range evaluated {
		if key != client.TagScope && key != client.TagOwner {
			out[key] = value
		}
	}
	return out
}

// versionTags are the tags of a job of a version that was imported: those of
// the import for the user that it acts for, and over them the workspace tags
// of the template, by the values of this job. Tags that cannot be evaluated
// are a 400.
func (a *api) versionTags(ctx context.Context, v store.TemplateVersion, imported store.ProvisionerJob, userID uuid.UUID, variables []client.JobVariable, parameters []client.BuildParameter) (store.StringMap, error) {
	tags := normalizeTags(imported.Tags, userID)
	if len(v.WorkspaceTags) == 0 {
		return tags, nil
	}
	file, err := a.sourceOfImport(ctx, imported)
	if err != nil {
		return nil, err
	}
	source, err := template.ReadTar(bytes.NewReader(file.Data))
	if err != nil {
		return nil, fmt.Errorf("read the source of version %s: %w", v.ID, err)
	}
	variableValues, parameterValues := map[string]string{}, map[string]string{}
	for _, variable := range variables {
		variableValues[variable.Name] = variable.Value
	}
	for _, parameter := range parameters {
		parameterValues[parameter.Name] = parameter.Value
	}
	evaluated, err := source.EvaluateTags(variableValues, parameterValues)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The workspace tags of the template cannot be evaluated.", err.Error())
	}
	tags = mergeTags(tags, evaluated)
	return tags, checkTags(tags)
}
