package server

import (
	"context"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
)

type authCheckInput struct {
	Body client.AuthorizationRequest
}

// authCheck answers questions about the caller's own permissions. About an
// object that the caller may not see the answer is no, whether it exists or not.
func (a *api) authCheck(ctx context.Context, in *authCheckInput) (*output[map[string]bool], error) {
	out := map[string]bool{}
	for name, check := range in.Body.Checks {
		allowed, err := a.answerCheck(ctx, name, check)
		if err != nil {
			return nil, err
		}
		out[name] = allowed
	}
	return reply(out), nil
}

func (a *api) answerCheck(ctx context.Context, name string, check client.AuthorizationCheck) (bool, error) {
	action, resource := authz.Action(check.Action), authz.Resource(check.Object.ResourceType)
	if resource == "" {
		return false, invalid("checks."+name+".object.resource_type", "Name the kind of object.")
	}
	if check.Object.AnyOrg {
		if check.Object.OrganizationID != "" {
			return false, invalid("checks."+name+".object.any_org", "It cannot be combined with organization_id.")
		}
		return subjectFrom(ctx).CanSome(action, resource), nil
	}
	object, err := checkedObject(ctx, name, check.Object)
	if err != nil {
		return false, err
	}
	return a.canAct(ctx, action, object)
}

// checkedObject reads what is asked about.
func checkedObject(ctx context.Context, name string, o client.AuthorizationObject) (authz.Object, error) {
	object := authz.Object{Type: authz.Resource(o.ResourceType), ID: o.ResourceID}
	if o.OwnerID == client.Me {
		o.OwnerID = callerID(ctx).String()
	}
	for _, field := range []struct {
		name, text string
		into       *uuid.UUID
	}{{"owner_id", o.OwnerID, &object.OwnerID}, {"organization_id", o.OrganizationID, &object.OrganizationID}} {
		if field.text == "" {
			continue
		}
		id, err := uuid.Parse(field.text)
		if err != nil {
			return object, invalid("checks."+name+".object."+field.name, "%q is not a UUID.", field.text)
		}
		*field.into = id
	}
	return object, nil
}

// canAct looks at the object itself where access lists or owners decide.
func (a *api) canAct(ctx context.Context, action authz.Action, object authz.Object) (bool, error) {
	id, err := uuid.Parse(object.ID)
	if err != nil {
		return subjectFrom(ctx).Can(action, object), nil
	}
	switch object.Type {
	case authz.Template:
		_, err = a.template(ctx, action, id)
	case authz.Workspace:
		_, err = a.workspace(ctx, action, id)
	case authz.Group:
		_, err = a.group(ctx, action, id)
	default:
		return subjectFrom(ctx).Can(action, object), nil
	}
	if err == nil {
		return true, nil
	}
	if e := a.explain(ctx, err); e.StatusCode < 500 {
		return false, nil
	}
	return false, err
}
