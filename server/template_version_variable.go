package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// versionVariable is a declared variable. Value is what was given for it, by
// the request or by the version before; without that its default holds.
type versionVariable struct {
	client.TemplateVersionVariable
	given bool
}

// versionVariables are the values given to a version's variables; those left
// to their defaults are not among them.
func (a *api) versionVariables(ctx context.Context, organizationID, versionID uuid.UUID) ([]client.JobVariable, error) {
	variables, err := readVariables(ctx, a.store, organizationID, versionID)
	if err != nil {
		return nil, err
	}
	out := []client.JobVariable{}
	for _, v := range variables {
		if v.given {
			out = append(out, client.JobVariable{Name: v.Name, Value: v.Value, Sensitive: v.Sensitive})
		}
	}
	return out, nil
}

// storeImportedVariables takes over the declarations that the daemon read and
// keeps the values that the version was made with. None read changes nothing.
func (a *api) storeImportedVariables(ctx context.Context, tx *store.Store, v store.TemplateVersion, read []client.TemplateVersionVariable) error {
	if read == nil {
		return nil
	}
	stored, err := readVariables(ctx, tx, v.OrganizationID, v.ID)
	if err != nil {
		return err
	}
	values := givenValues(stored)
	variables := make([]versionVariable, len(read))
	for i, declared := range read {
		variables[i] = versionVariable{TemplateVersionVariable: declared}
		variables[i].Value, variables[i].given = values[declared.Name]
	}
	err = tx.DeleteTemplateVersionVariables(ctx, store.DeleteTemplateVersionVariablesParams{OrganizationID: v.OrganizationID, TemplateVersionID: v.ID})
	if err != nil {
		return err
	}
	return insertVariables(ctx, tx, v, variables)
}

func givenValues(variables []versionVariable) map[string]string {
	values := map[string]string{}
	for _, v := range variables {
		if v.given {
			values[v.Name] = v.Value
		}
	}
	return values
}

func insertVariables(ctx context.Context, tx *store.Store, version store.TemplateVersion, variables []versionVariable) error {
	for i, v := range variables {
		value, err := tx.Seal(ctx, version.OrganizationID, store.PurposeVariable, []byte(v.Value))
		if err != nil {
			return err
		}
		byDefault, err := tx.Seal(ctx, version.OrganizationID, store.PurposeVariable, []byte(v.DefaultValue))
		if err != nil {
			return err
		}
		err = tx.InsertTemplateVersionVariable(ctx, store.InsertTemplateVersionVariableParams{
			TemplateVersionID: version.ID, OrganizationID: version.OrganizationID, Position: int64(i), Name: v.Name, Description: v.Description, Type: v.Type,
			Required: v.Required, Sensitive: v.Sensitive, DefaultValue: byDefault, Value: value, Given: v.given,
		})
		if err != nil {
			return fmt.Errorf("variable %q: %w", v.Name, err)
		}
	}
	return nil
}

// readVariables are the variables of a version as declared, with values in clear.
func readVariables(ctx context.Context, s *store.Store, organizationID, versionID uuid.UUID) ([]versionVariable, error) {
	rows, err := s.ListTemplateVersionVariables(ctx, store.ListTemplateVersionVariablesParams{OrganizationID: organizationID, TemplateVersionID: versionID})
	if err != nil {
		return nil, err
	}
	out := make([]versionVariable, len(rows))
	for i, row := range rows {
		value, err := s.Unseal(ctx, organizationID, store.PurposeVariable, row.Value)
		if err != nil {
			return nil, err
		}
		byDefault, err := s.Unseal(ctx, organizationID, store.PurposeVariable, row.DefaultValue)
		if err != nil {
			return nil, err
		}
		out[i] = versionVariable{given: row.Given, TemplateVersionVariable: client.TemplateVersionVariable{
			Name: row.Name, Description: row.Description, Type: row.Type, Required: row.Required, Sensitive: row.Sensitive,
			Value: string(value), DefaultValue: string(byDefault),
		}}
	}
	return out, nil
}

// variableResponses hide everything that a sensitive variable holds.
func variableResponses(variables []versionVariable) []client.TemplateVersionVariable {
	out := make([]client.TemplateVersionVariable, len(variables))
	for i, v := range variables {
		out[i] = v.TemplateVersionVariable
		if !v.given {
			out[i].Value = v.DefaultValue
		}
		if v.Sensitive {
			out[i].Value, out[i].DefaultValue = "", ""
		}
	}
	return out
}
