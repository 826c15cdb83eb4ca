package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

type archiveVersionsInput struct {
	TemplatePath
	Body client.ArchiveTemplateVersionsRequest
}

func (a *api) archiveTemplateVersion(ctx context.Context, in *TemplateVersionPath) (*output[message], error) {
	v, err := a.templateVersion(ctx, authz.Update, in.Version)
	if err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if v.TemplateID != nil {
			t, err := a.withStore(tx).template(ctx, authz.Update, *v.TemplateID)
			if err != nil {
				return err
			}
			if t.ActiveVersionID == v.ID {
				return badRequest("The active version cannot be archived; make another version the active one first.")
			}
		}
		return a.setArchived(ctx, tx, v, true)
	})
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("Version %s is archived.", v.Name)), nil
}

func (a *api) unarchiveTemplateVersion(ctx context.Context, in *TemplateVersionPath) (*output[message], error) {
	v, err := a.templateVersion(ctx, authz.Update, in.Version)
	if err != nil {
		return nil, err
	}
	if err := a.store.InTx(ctx, func(tx *store.Store) error { return a.setArchived(ctx, tx, v, false) }); err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("Version %s is out of the archive.", v.Name)), nil
}

// setArchived refuses what is so already.
func (a *api) setArchived(ctx context.Context, tx *store.Store, v store.TemplateVersion, archived bool) error {
	rows, err := tx.ArchiveTemplateVersion(ctx, store.ArchiveTemplateVersionParams{
		OrganizationID: v.OrganizationID, ID: v.ID, Archived: archived, UpdatedAt: store.At(a.now()),
	})
	switch {
	case err != nil:
		return err
	case rows == 0 && archived:
		return badRequest(fmt.Sprintf("Version %s is archived already.", v.Name))
	case rows == 0:
		return badRequest(fmt.Sprintf("Version %s is not archived.", v.Name))
	}
	before, after := v, v
	before.Archived, after.Archived = !archived, archived
	return a.audit(ctx, tx, versionChanged(client.AuditWrite, &before, &after))
}

// archiveTemplateVersions archives the versions whose import did not succeed,
// or with all set every version that is neither active nor in use.
func (a *api) archiveTemplateVersions(ctx context.Context, in *archiveVersionsInput) (*output[client.ArchiveTemplateVersionsResponse], error) {
	t, err := a.template(ctx, authz.Update, in.Template)
	if err != nil {
		return nil, err
	}
	archived := []uuid.UUID{}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		ids, err := tx.ListArchivableTemplateVersions(ctx, store.ListArchivableTemplateVersionsParams{OrganizationID: t.OrganizationID, TemplateID: &t.ID, Every: in.Body.All})
		if err != nil {
			return err
		}
		for _, id := range ids {
			v, err := versionOf(ctx, tx, t, id)
			if err != nil {
				return err
			}
			if err := a.setArchived(ctx, tx, v, true); err != nil {
				return err
			}
		}
		archived = ids
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("archive template versions: %w", err)
	}
	return reply(client.ArchiveTemplateVersionsResponse{TemplateID: t.ID, ArchivedIDs: archived}), nil
}
