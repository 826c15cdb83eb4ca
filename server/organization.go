package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// The default organization of a fresh deployment, and the group of everybody in one.
const (
	defaultOrganizationName        = "coder"
	defaultOrganizationDisplayName = "Coder"
	everyoneGroup                  = "Everyone"
)

type OrganizationPath struct {
	Organization string `path:"organization" doc:"Name, id, or default"`
}

type createOrganizationInput struct {
	Body client.CreateOrganizationRequest
}

type updateOrganizationInput struct {
	OrganizationPath
	Body client.UpdateOrganizationRequest
}

type userOrganizationInput struct {
	User         string `path:"user"`
	Organization string `path:"name"`
}

type UserPath struct {
	User string `path:"user" doc:"Name, id, or me"`
}

func (a *api) listOrganizations(ctx context.Context, _ *struct{}) (*output[[]client.Organization], error) {
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	return reply(organizationResponses(readableOrganizations(ctx, orgs))), nil
}

func (a *api) listUserOrganizations(ctx context.Context, in *UserPath) (*output[[]client.Organization], error) {
	user, err := a.user(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	joined, err := a.organizationsJoined(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	orgs = slices.DeleteFunc(slices.Clone(orgs), func(o store.Organization) bool { return !joined[o.ID] })
	return reply(organizationResponses(readableOrganizations(ctx, orgs))), nil
}

// organizationsJoined are those that a user is a member of.
func (a *api) organizationsJoined(ctx context.Context, userID uuid.UUID) (map[uuid.UUID]bool, error) {
	joined := map[uuid.UUID]bool{}
	if req := requestFrom(ctx); userID == callerID(ctx) && req.method == http.MethodGet {
		for _, m := range req.memberships {
			joined[m.OrganizationID] = true
		}
		return joined, nil
	}
	rows, err := a.store.ListMembershipsOfUser(ctx, userID)
	for _, m := range rows {
		joined[m.OrganizationID] = true
	}
	return joined, err
}

func (a *api) getUserOrganization(ctx context.Context, in *userOrganizationInput) (*output[client.Organization], error) {
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	return reply(organizationResponse(org)), nil
}

func (a *api) getOrganization(ctx context.Context, _ *OrganizationPath) (*output[client.Organization], error) {
	return reply(organizationResponse(organizationFrom(ctx))), nil
}

func (a *api) createOrganization(ctx context.Context, in *createOrganizationInput) (*output[client.Organization], error) {
	if err := checkName("name", client.NameOrganization, in.Body.Name); err != nil {
		return nil, err
	}
	if err := checkName("display_name", client.NameDisplay, in.Body.DisplayName); err != nil {
		return nil, err
	}
	defaults := []string{authz.RoleOrganizationWorkspaceAccess}
	if in.Body.DefaultOrgMemberRoles != nil {
		defaults = *in.Body.DefaultOrgMemberRoles
	}
	if err := checkDefaultRoles(ctx, uuid.Nil, nil, defaults); err != nil {
		return nil, err
	}
	if in.Body.DisplayName == "" {
		in.Body.DisplayName = in.Body.Name
	}
	var org store.Organization
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		var err error
		org, err = a.insertOrganization(ctx, tx, store.InsertOrganizationParams{
			Name: in.Body.Name, DisplayName: in.Body.DisplayName, Description: in.Body.Description, Icon: in.Body.Icon, DefaultMemberRoles: defaults,
		})
		if err != nil {
			return err
		}
		member, err := a.insertMember(ctx, tx, org.ID, callerID(ctx))
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, organizationCreated(org), memberCreated(member, *requestFrom(ctx).user))
	})
	if store.IsConflict(err) {
		return nil, taken("Organization", in.Body.Name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("create organization: %w", err)
	}
	return reply(organizationResponse(org)), nil
}

// insertOrganization adds the row with a sealing key of its own, and its Everyone group.
func (a *api) insertOrganization(ctx context.Context, tx *store.Store, p store.InsertOrganizationParams) (store.Organization, error) {
	p.ID = uuid.New()
	p.CreatedAt = store.At(a.now())
	p.UpdatedAt = p.CreatedAt
	key, err := tx.NewSealingKey(ctx, p.ID)
	if err != nil {
		return store.Organization{}, err
	}
	p.SealingKey = key
	org, err := tx.InsertOrganization(ctx, p)
	if err != nil {
		return store.Organization{}, err
	}
	_, err = tx.InsertGroup(ctx, store.InsertGroupParams{
		ID: org.ID, OrganizationID: org.ID, Name: everyoneGroup, Source: "user", CreatedAt: p.CreatedAt, UpdatedAt: p.CreatedAt,
	})
	return org, err
}

func (a *api) insertMember(ctx context.Context, tx *store.Store, organizationID, userID uuid.UUID) (store.OrganizationMember, error) {
	at := store.At(a.now())
	return tx.InsertMember(ctx, store.InsertMemberParams{OrganizationID: organizationID, UserID: userID, CreatedAt: at, UpdatedAt: at})
}

func (a *api) updateOrganization(ctx context.Context, in *updateOrganizationInput) (*output[client.Organization], error) {
	org := organizationFrom(ctx)
	if err := applyOrganizationUpdate(ctx, &org, in.Body); err != nil {
		return nil, err
	}
	var updated store.Organization
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		var err error
		updated, err = tx.UpdateOrganization(ctx, store.UpdateOrganizationParams{
			OrganizationID: org.ID, Name: org.Name, DisplayName: org.DisplayName, Description: org.Description, Icon: org.Icon,
			DefaultMemberRoles: org.DefaultMemberRoles, UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		entry := organizationEntry(client.AuditWrite, updated)
		entry.before, entry.after = organizationResponse(organizationFrom(ctx)), organizationResponse(updated)
		return a.audit(ctx, tx, entry)
	})
	if store.IsConflict(err) {
		return nil, taken("Organization", org.Name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("update organization: %w", err)
	}
	return reply(organizationResponse(updated)), nil
}

func applyOrganizationUpdate(ctx context.Context, org *store.Organization, req client.UpdateOrganizationRequest) error {
	if req.Name != "" && req.Name != org.Name {
		if err := checkName("name", client.NameOrganization, req.Name); err != nil {
			return err
		}
		org.Name = req.Name
	}
	if req.DisplayName != "" {
		if err := checkName("display_name", client.NameDisplay, req.DisplayName); err != nil {
			return err
		}
		org.DisplayName = req.DisplayName
	}
	if req.Description != nil {
		org.Description = *req.Description
	}
	if req.Icon != nil {
		org.Icon = *req.Icon
	}
	if req.DefaultOrgMemberRoles != nil {
		if err := checkDefaultRoles(ctx, org.ID, org.DefaultMemberRoles, *req.DefaultOrgMemberRoles); err != nil {
			return err
		}
		org.DefaultMemberRoles = *req.DefaultOrgMemberRoles
	}
	return nil
}

// checkDefaultRoles accepts built-in organization roles only, and a change of
// one only from who may hand it out. All members hold them, the caller too:
// nobody may thus get what they did not have.
func checkDefaultRoles(ctx context.Context, organizationID uuid.UUID, have, want []string) error {
	subject := subjectFrom(ctx)
	for _, name := range want {
		if _, ok := authz.OrganizationRole(name, organizationID); !ok {
			return invalid("default_org_member_roles", "%q is not a built-in organization role.", name)
		}
	}
	if organizationID == uuid.Nil {
		return nil // who makes an organization decides
	}
	added, removed := difference(want, have), difference(have, want)
	for _, name := range slices.Concat(added, removed) {
		role, _ := authz.OrganizationRole(name, organizationID)
		switch {
		case !subject.CanAssign(name, organizationID):
			return invalid("default_org_member_roles", "You may not hand out the role %q, nor take it away.", name)
		case subject.Gains(role, organizationID, slices.Contains(removed, name)):
			return invalid("default_org_member_roles", "A change of the role %q would let you do more than you may now; ask an owner of the deployment.", name)
		}
	}
	return nil
}

func (a *api) deleteOrganization(ctx context.Context, _ *OrganizationPath) (*output[message], error) {
	org := organizationFrom(ctx)
	if org.IsDefault {
		return nil, badRequest("The default organization cannot be deleted.")
	}
	var canceled []store.ProvisionerJob
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		counts, err := tx.CountOrganizationContents(ctx, org.ID)
		if err != nil {
			return err
		}
		if blocking := inTheWay(counts); len(blocking) > 0 {
			return refuse(http.StatusConflict, "The organization is not empty.", "Delete what is in it first: "+countContents(blocking)+
				". `coder organizations delete "+org.Name+" --dry-run` names them.")
		}
		if canceled, err = a.cancelJobsOf(ctx, tx, org); err != nil {
			return err
		}
		return a.removeOrganization(ctx, tx, org)
	})
	if err != nil {
		return nil, err
	}
	for _, job := range canceled {
		a.cancelPosted(job)
	}
	a.resources.forget()
	a.dispatch.wakeAll(org.ID)
	return said(fmt.Sprintf("Organization %s has been deleted.", org.Name)), nil
}

// cancelJobsOf ends what is left to run in an organization without templates
// and workspaces: imports and dry runs, which make nothing.
func (a *api) cancelJobsOf(ctx context.Context, tx *store.Store, org store.Organization) ([]store.ProvisionerJob, error) {
	jobs, err := tx.ListActiveJobsOfOrganization(ctx, org.ID)
	if err != nil {
		return nil, fmt.Errorf("list the jobs of the organization: %w", err)
	}
	var canceled []store.ProvisionerJob
	for _, job := range jobs {
		if job.Cancel != client.CancelNone {
			continue // it is ending
		}
		job, err := a.cancelInTx(ctx, tx, job)
		if err != nil {
			return nil, fmt.Errorf("cancel the jobs of the organization: %w", err)
		}
		canceled = append(canceled, job)
	}
	return canceled, nil
}

// removeOrganization marks the row and drops what belongs to nobody else, so
// that nothing of it shows anywhere; its audit log stays.
func (a *api) removeOrganization(ctx context.Context, tx *store.Store, org store.Organization) error {
	deleted, err := tx.DeleteOrganization(ctx, store.DeleteOrganizationParams{OrganizationID: org.ID, SealingKey: []byte{}, UpdatedAt: store.At(a.now())})
	if err != nil {
		return err
	}
	if deleted == 0 {
		return errNotFound()
	}
	for _, drop := range []func(context.Context, uuid.UUID) error{
		tx.DeleteOrganizationMembers, tx.DeleteOrganizationGroups, tx.DeleteOrganizationRoles, tx.DeleteOrganizationDaemons,
	} {
		if err := drop(ctx, org.ID); err != nil {
			return fmt.Errorf("empty the organization: %w", err)
		}
	}
	entry := organizationEntry(client.AuditDelete, org)
	entry.before = organizationResponse(org)
	return a.audit(ctx, tx, entry)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ensureDefaultOrganization makes it on the very first start.
func (a *api) ensureDefaultOrganization(ctx context.Context) error {
	_, err := a.store.GetDefaultOrganization(ctx)
	if !store.IsNotFound(err) {
		return err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		org, err := a.insertOrganization(ctx, tx, store.InsertOrganizationParams{
			Name: defaultOrganizationName, DisplayName: defaultOrganizationDisplayName, IsDefault: true,
			DefaultMemberRoles: []string{authz.RoleOrganizationWorkspaceAccess},
		})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, organizationCreated(org))
	})
	if store.IsConflict(err) {
		return nil // another replica was first
	}
	return err
}

func readableOrganizations(ctx context.Context, orgs []store.Organization) []store.Organization {
	subject := subjectFrom(ctx)
	if subject.All(authz.Read, authz.Organization) {
		return orgs
	}
	return slices.DeleteFunc(slices.Clone(orgs), func(o store.Organization) bool { return !subject.Can(authz.Read, organizationObject(o.ID)) })
}

// checkName turns a broken name rule into a 400 on its field.
func checkName(field string, kind client.NameKind, name string) error {
	if err := client.CheckName(kind, name); err != nil {
		return invalid(field, "%s", err.Error())
	}
	return nil
}

func organizationResponses(orgs []store.Organization) []client.Organization {
	out := make([]client.Organization, len(orgs))
	for i, o := range orgs {
		out[i] = organizationResponse(o)
	}
	return out
}

func organizationResponse(o store.Organization) client.Organization {
	return client.Organization{
		MinimalOrganization: client.MinimalOrganization{ID: o.ID, Name: o.Name, DisplayName: o.DisplayName, Icon: o.Icon},
		Description:         o.Description, CreatedAt: o.CreatedAt.Time, UpdatedAt: o.UpdatedAt.Time, IsDefault: o.IsDefault,
		DefaultOrgMemberRoles: slices.Clone([]string(o.DefaultMemberRoles)),
	}
}
