package ui

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"coder/client"
)

func (u *UI) tokenRoutes(on *table) {
	on.page(get, "/account/tokens", u.tokens)
	on.page(post, "/account/tokens", u.revokeToken)
	on.page(get, "/account/tokens/new", u.newTokenForm)
	on.page(post, "/account/tokens/new", u.createToken)
	on.page(get, "/account/sessions", u.sessions)
	on.page(post, "/account/sessions", u.endSession)
}

type tokensPage struct {
	accountPage
	Tokens []client.APIKeyWithOwner
}

// Whole tells whether a token may do all that its owner may.
func (tokensPage) Whole(t client.APIKeyWithOwner) bool {
	return slices.Contains(t.Scopes, client.ScopeAll)
}

func (u *UI) tokens(ctx context.Context, v *visit) (reply, error) {
	p, err := v.accountPage(ctx, "tokens", "API tokens")
	if err != nil {
		return nil, err
	}
	tokens, err := v.api.Tokens(ctx, client.Me, client.TokensRequest{})
	if err != nil {
		return nil, err
	}
	return show("tokens.html", &tokensPage{p, tokens}), nil
}

// revokeToken ends a token. One that is gone already is no trouble: it was
// what its owner wanted.
func (u *UI) revokeToken(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	err = v.api.DeleteAPIKey(ctx, client.Me, values.Get("id"))
	if client.IsNotFound(err) {
		return redirect{to: "/account/tokens", said: "This token had ended already."}, nil
	}
	return redirect{to: "/account/tokens", said: "The token was revoked: it is refused from now on."}, err
}

type tokenFormPage struct {
	accountPage
	Form form
	// Narrowed opens the choice of scopes.
	Narrowed bool
	// Token is shown once.
	Token, Name string
}

// tokenLifetimes are offered as far as the deployment allows them.
var tokenLifetimes = []int{1, 7, 30, 90, 180, 365}

func tokenFields(longest time.Duration, scopes []string) form {
	life := field{Name: "lifetime", Label: "Lifetime", Kind: kindSelect}
	for _, days := range tokenLifetimes {
		if hours := time.Duration(days) * 24 * time.Hour; hours < longest {
			life.Options = append(life.Options, fieldOption{Value: strconv.Itoa(days * 24), Label: plural(days, "day")})
		}
	}
	life.Options = append(life.Options, fieldOption{Value: strconv.Itoa(int(longest.Hours())), Label: "The longest that is allowed: " + about(longest)})
	life.Value = life.Options[min(2, len(life.Options)-1)].Value
	limit := field{Name: "scopes", Label: "Scopes", Kind: kindChecks, Hint: "Without any, the token may do all that you may."}
	for _, scope := range offeredScopes(scopes) {
		limit.Options = append(limit.Options, fieldOption{Value: scope, Label: scope})
	}
	return form{Fields: []field{
		{Name: "token_name", Label: "Name", Required: true, MaxLength: 64, Autofocus: true, Placeholder: "ci", Hint: "What uses it, so that you know later what stops when you revoke it."},
		life, limit,
	}}
}

// offeredScopes leaves out older names and what means no limit.
func offeredScopes(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.Contains(name, ":") || name == client.ScopeAll })
}

func (v *visit) tokenFormPage(ctx context.Context) (*tokenFormPage, error) {
	p, err := v.accountPage(ctx, "tokens", "New token")
	if err != nil {
		return nil, err
	}
	limits, err := v.api.TokenConfig(ctx, client.Me)
	if err != nil {
		return nil, err
	}
	scopes, err := v.api.Scopes(ctx)
	return &tokenFormPage{accountPage: p, Form: tokenFields(limits.MaxTokenLifetime, scopes)}, err
}

func (u *UI) newTokenForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.tokenFormPage(ctx)
	if err != nil {
		return nil, err
	}
	return show("token_new.html", p), nil
}

// createToken shows the token once, in the answer itself. Sent twice, the
// second is refused: the name is taken.
func (u *UI) createToken(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.tokenFormPage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	p.Narrowed = len(p.Form.values("scopes")) > 0
	hours, err := p.Form.number("lifetime")
	var made client.CreateAPIKeyResponse
	if p.Name = p.Form.value("token_name"); p.Name == "" {
		err = cmp.Or(err, badField("token_name", "Give it a name."))
	}
	if err == nil {
		made, err = v.api.CreateToken(ctx, client.Me, client.CreateTokenRequest{TokenName: p.Name, Lifetime: time.Duration(hours) * time.Hour, Scopes: p.Form.values("scopes")})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "token_new.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	p.Token = made.Key
	return showAs(http.StatusCreated, "token_new.html", p), nil
}

// Exports are the two lines that a script begins with.
func (p tokenFormPage) Exports() string {
	return "export CODER_URL=" + p.AccessURL + "\nexport CODER_SESSION_TOKEN=" + p.Token
}

type sessionsPage struct {
	accountPage
	Sessions []client.Session
	// Current is the id of this browser's session.
	Current string
}

func (u *UI) sessions(ctx context.Context, v *visit) (reply, error) {
	p, err := v.accountPage(ctx, "sessions", "Sessions")
	if err != nil {
		return nil, err
	}
	sessions, err := v.api.Sessions(ctx, client.Me)
	return show("sessions.html", &sessionsPage{p, sessions, v.sessionID()}), err
}

// sessionID is the public part of the browser's session.
func (v *visit) sessionID() string {
	id, _, _ := strings.Cut(v.token, "-")
	return id
}

// endSession ends one session, or all but that of this browser.
func (u *UI) endSession(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	ids := values["id"]
	if values.Get("action") == "others" {
		sessions, err := v.api.Sessions(ctx, client.Me)
		if err != nil {
			return nil, err
		}
		for _, s := range sessions {
			if s.ID != v.sessionID() {
				ids = append(ids, s.ID)
			}
		}
	}
	for _, id := range ids {
		if err := v.api.DeleteAPIKey(ctx, client.Me, id); err != nil && !client.IsNotFound(err) {
			return nil, err
		}
	}
	return redirect{to: "/account/sessions", said: "Ended. Whoever uses it has to sign in again."}, nil
}
