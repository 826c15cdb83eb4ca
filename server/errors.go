package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"coder/client"
	"coder/store"
)

// Refusals. Every handler returns one of these, or an error of the layers
// below, which refusal turns into one.

func refuse(status int, message, detail string, validations ...client.ValidationError) *client.Error {
	return &client.Error{StatusCode: status, Message: message, Detail: detail, Validations: validations}
}

func badRequest(message string, validations ...client.ValidationError) *client.Error {
	return refuse(http.StatusBadRequest, message, "", validations...)
}

func forbidden(message string) *client.Error {
	return refuse(http.StatusForbidden, message, "")
}

func conflict(message string, validations ...client.ValidationError) *client.Error {
	return refuse(http.StatusConflict, message, "", validations...)
}

// invalid is a 400 about one input.
func invalid(field, format string, args ...any) *client.Error {
	return badRequest("The request is not valid.", client.ValidationError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// taken is the 409 of a unique name.
func taken(kind, name, field string) *client.Error {
	return conflict(fmt.Sprintf("%s %q already exists.", kind, name), client.ValidationError{Field: field, Detail: "This value is taken; choose another one."})
}

// errNotFound answers for what does not exist and for what the caller may not
// see: byte for byte the same.
func errNotFound() *client.Error {
	return refuse(http.StatusNotFound, "Not found.", "It does not exist, or you may not see it.")
}

// errNoRoute answers below /api/v2 where there is no route.
func errNoRoute() *client.Error {
	return refuse(http.StatusNotFound, "There is no such route.", "Compare the method and the path with /api/v2/openapi.json.")
}

func errUnauthenticated(detail string) *client.Error {
	return refuse(http.StatusUnauthorized, "You are not signed in, or your session has ended.", detail)
}

// refusal turns any error of a handler into the body that is sent, once a
// request, and records it where it belongs in the audit log.
func (a *api) refusal(ctx context.Context, err error) *client.Error {
	e := a.explain(ctx, err)
	a.auditRefusal(ctx, e)
	return e
}

// explain knows the statuses. What nobody expected becomes a 500 that shows
// the request's id and nothing else.
func (a *api) explain(ctx context.Context, err error) *client.Error {
	var e *client.Error
	switch {
	case errors.As(err, &e):
		return e
	case store.IsNotFound(err):
		return errNotFound()
	case store.IsConflict(err):
		return conflict("Something with this name or number already exists.")
	case store.IsFull(err):
		a.logger.ErrorContext(ctx, "disk full", "error", err)
		a.room.pressed(err)
		return errNoRoom()
	case errors.Is(err, store.ErrDeploymentKey):
		a.logger.ErrorContext(ctx, "the deployment key is missing", "error", err)
		return refuse(http.StatusServiceUnavailable, "This server does not have the deployment key that the database is sealed with now; nothing was changed.",
			"Give it CODER_DEPLOYMENT_KEY=<current>,<new>, as the log of the server names them, and restart it.")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded), store.IsBusy(err):
		a.logger.WarnContext(ctx, "request ran out of its time", "error", err)
		return refuse(http.StatusServiceUnavailable, "The server is too busy: this took longer than it may.",
			"Look whether it took effect, and try again where it did not. If it keeps failing, tell your administrator this request id: "+requestFrom(ctx).id)
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		return refuse(499, "The request was canceled.", "")
	}
	id := requestFrom(ctx).id
	a.logger.ErrorContext(ctx, "request failed", "error", err)
	return refuse(http.StatusInternalServerError, "Something went wrong on the server.", "Tell your administrator this request id: "+id)
}

// newHumaError shapes the errors that huma itself makes while it reads a
// request: everything that is wrong with it is a 400.
func newHumaError(_ huma.Context, status int, message string, errs ...error) huma.StatusError {
	if status == http.StatusUnprocessableEntity || status == http.StatusBadRequest {
		status, message = http.StatusBadRequest, "The request is not valid."
	}
	e := &client.Error{StatusCode: status, Message: message}
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) && detail.Location != "" {
			e.Validations = append(e.Validations, client.ValidationError{Field: fieldName(detail), Detail: detail.Message})
		} else if err != nil {
			e.Detail = strings.TrimSpace(e.Detail + " " + err.Error())
		}
	}
	return e
}

// fieldName is the JSON, query or path name without huma's prefix.
func fieldName(d *huma.ErrorDetail) string {
	_, field, found := strings.Cut(d.Location, ".")
	if !found {
		field = d.Location
	}
	if name, ok := strings.CutPrefix(d.Message, "expected required property "); ok {
		name, _, _ = strings.Cut(name, " ")
		return strings.TrimPrefix(field+"."+name, "body.")
	}
	return field
}
