package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// askAgain is how soon a stream or a long poll notices that its caller's right
// to it has gone: five seconds are promised, and the answer must travel too.
const askAgain = 3 * time.Second

// gate is the one place where a request is authenticated and authorized,
// before a byte of its body is read.
func (a *api) gate(hctx huma.Context, p permission, next func()) {
	r, w := humago.Unwrap(hctx)
	ctx := r.Context()
	req := requestFrom(ctx)
	req.operation, req.permission = hctx.Operation(), p
	req.admit = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return a.admit(ctx, r, p)
	}
	err := req.admit(ctx)
	if err == nil {
		err = a.limit(w, r, p, hctx.Operation())
	}
	if err == nil {
		err = a.admitWrite(ctx, hctx.Operation(), p)
	}
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	next()
}

// stillAdmitted asks again where so much time went into reading the body that
// the right to the request may have gone since.
func (a *api) stillAdmitted(ctx context.Context) error {
	if r := requestFrom(ctx); a.now().Sub(r.started) > askAgain {
		return r.admit(ctx)
	}
	return nil
}

// admit authenticates by the operation's kind and asks for its permission.
func (a *api) admit(ctx context.Context, r *http.Request, p permission) error {
	switch p.scope {
	case scopePublic:
		return a.admitStranger(r)
	case scopeDaemon:
		return a.authenticateDaemon(ctx, r)
	case scopeAttempt:
		return a.authenticateAttempt(ctx, r)
	}
	if err := a.authenticate(ctx, r); err != nil {
		return err
	}
	switch p.scope {
	case scopeSite:
		if !subjectFrom(ctx).Can(p.action, authz.Object{Type: p.resource}) {
			return forbidden("You need the permission " + string(p.resource) + ":" + string(p.action) + " on the deployment.")
		}
	case scopeOrganization:
		return a.admitOrganization(ctx, r.PathValue("organization"), p)
	}
	return nil
}

// admitStranger lets no foreign page sign its visitors in as somebody, nor
// make the first user of a deployment that only they can reach. Reports of
// browsers carry no origin that would say anything.
func (a *api) admitStranger(r *http.Request) error {
	if r.URL.Path != apiPrefix+"/csp/reports" && a.origins.Check(r) != nil {
		return errForgery
	}
	return nil
}

// admitOrganization finds the organization in the path and asks for the
// permission in it. Who may not see it learns nothing.
func (a *api) admitOrganization(ctx context.Context, ref string, p permission) error {
	org, err := a.organization(ctx, ref)
	if err != nil {
		return err
	}
	requestFrom(ctx).organization = &org
	if subjectFrom(ctx).Can(p.action, authz.Object{Type: p.resource, OrganizationID: org.ID, ID: objectID(p.resource, org.ID)}) {
		return nil
	}
	if p.refusal == http.StatusForbidden {
		return forbidden("You need the permission " + string(p.resource) + ":" + string(p.action) + " in this organization.")
	}
	return errNotFound()
}

func objectID(r authz.Resource, organizationID uuid.UUID) string {
	if r == authz.Organization {
		return organizationID.String()
	}
	return ""
}

// limit refuses who asks too often. Daemons are not limited: their calls are
// bounded by their jobs.
func (a *api) limit(w http.ResponseWriter, r *http.Request, p permission, op *huma.Operation) error {
	if p.scope == scopeDaemon || p.scope == scopeAttempt || a.options.DisableRateLimits {
		return nil
	}
	req := requestFrom(r.Context())
	// Who calls a public operation is not known; it is limited in any case.
	if p.scope != scopePublic && r.Header.Get(client.HeaderBypassRateLimit) == "true" {
		if req.user != nil && req.subject.Can(authz.Update, authz.Object{Type: authz.System}) {
			return nil
		}
		return forbidden("Only owners may bypass the rate limit.")
	}
	key := req.ip
	if req.user != nil {
		key = req.user.ID.String()
	}
	limiter := a.limits.of(op.Path)
	if limiter == nil || !limiter.OnLimit(w, r, op.OperationID+" "+key) {
		return nil
	}
	return refuse(http.StatusTooManyRequests, "You have sent too many requests in a minute.", "Wait a little and try again.")
}

// writeError sends a refusal, with the hint that OAuth clients look for.
func (a *api) writeError(ctx context.Context, w http.ResponseWriter, err error) {
	if errors.Is(err, errForgery) {
		http.Error(w, "This request comes from a page of another site, which may neither use the session cookie nor sign in. Send the token in the header "+client.HeaderSessionToken+" instead.", http.StatusBadRequest)
		return
	}
	e := a.refusal(ctx, err)
	if e.StatusCode == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="coder", error="invalid_token", error_description=`+strconv.Quote(e.Message))
	}
	writeJSON(w, e.StatusCode, e)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone; nobody is left to tell
}

// daemonCredential is what a daemon joined with.
type daemonCredential struct {
	// keyID is the key's, or one of the reserved ids.
	keyID uuid.UUID
	key   *store.ProvisionerKey
	// secret is the hash of the key's secret that was sent.
	secret       []byte
	subject      *authz.Subject
	user         *store.User
	organization uuid.UUID
}

// authenticateDaemon takes a provisioner key, the built-in secret or a session.
func (a *api) authenticateDaemon(ctx context.Context, r *http.Request) error {
	key, psk := r.Header.Get(client.HeaderDaemonKey), r.Header.Get(client.HeaderDaemonPSK)
	token, _ := sessionToken(r)
	req := requestFrom(ctx)
	switch {
	case key != "" && (token != "" || psk != ""):
		return forbidden("Send a provisioner key or a session token, not both.")
	case key != "":
		cred, err := a.keyCredential(ctx, hashSecret(key))
		req.daemon = cred
		return err
	case psk != "":
		if a.daemonSecret == "" || !sameSecret(psk, hashSecret(a.daemonSecret)) {
			return refuse(http.StatusUnauthorized, "This pre-shared key is not accepted.", "Use a provisioner key instead: coder provisioner keys create NAME --org ORGANIZATION")
		}
		req.daemon = &daemonCredential{keyID: client.ProvisionerKeyBuiltInID}
		return nil
	}
	if err := a.authenticate(ctx, r); err != nil {
		return err
	}
	req.daemon = &daemonCredential{keyID: client.ProvisionerKeyUserAuthID, subject: req.subject, user: req.user}
	return nil
}

// authenticateAttempt takes the secret of one attempt, whatever became of the
// credential that its daemon joined with.
func (a *api) authenticateAttempt(ctx context.Context, r *http.Request) error {
	id, err := uuid.Parse(r.PathValue("attempt"))
	if err != nil {
		return errUnauthenticated("The attempt is not named by a UUID.")
	}
	row, err := a.store.GetAttemptOfCall(ctx, id)
	if err != nil && !store.IsNotFound(err) {
		return err
	}
	expired := !row.ExpiresAt.IsZero() && !row.ExpiresAt.After(a.now())
	if err != nil || expired || !sameSecret(r.Header.Get(client.HeaderAttempt), row.HashedSecret) {
		return errUnauthenticated("This secret does not belong to a known attempt, or the attempt was settled long ago.")
	}
	requestFrom(ctx).attempt = &row
	return nil
}
