package ui

import (
	"context"
	"net/http"
	"net/url"

	"coder/client"
)

// front leads to where its person's work is.
func (u *UI) front(ctx context.Context, v *visit) (reply, error) {
	if v.token != "" {
		if _, err := v.api.User(ctx, client.Me); err == nil {
			return redirect{to: "/workspaces"}, nil
		}
	}
	return u.stepIn(ctx, v)
}

// stepIn leads to the page that makes the first user, or to the sign-in page.
func (u *UI) stepIn(ctx context.Context, v *visit) (reply, error) {
	has, err := v.api.HasFirstUser(ctx)
	if err != nil {
		return nil, err
	}
	if !has {
		return redirect{to: "/setup"}, nil
	}
	return redirect{to: "/login"}, nil
}

func (u *UI) nowhere(context.Context, *visit) (reply, error) { return nil, errNoPage }

func setupFields() form {
	return form{Fields: []field{
		{Name: "username", Label: "Username", Required: true, MaxLength: 32, Autocomplete: "username", Autofocus: true, Hint: "Letters, digits and single hyphens. It is part of the addresses of your workspaces."},
		{Name: "email", Label: "Email", Kind: "email", Required: true, Autocomplete: "email"},
		{Name: "password", Label: "Password", Kind: "password", Required: true, MaxLength: 64, Autocomplete: "new-password", Hint: "The server refuses passwords that are easily guessed."},
		{Name: "name", Label: "Full name", MaxLength: 128, Autocomplete: "name", Hint: "Optional."},
	}}
}

func (v *visit) setupPage(f form) *formPage {
	return &formPage{
		page: v.stranger("Welcome"), Form: f, Submit: "Create the owner",
		Intro:   "This deployment has no users yet. The first one owns it: they make organizations, and decide who may do what.",
		Command: "coder login " + v.ui.options.AccessURL.String(),
	}
}

func (u *UI) setupForm(ctx context.Context, v *visit) (reply, error) {
	has, err := v.api.HasFirstUser(ctx)
	if err != nil {
		return nil, err
	}
	if has {
		return redirect{to: "/login"}, nil
	}
	return show("door.html", v.setupPage(setupFields())), nil
}

// setup makes the first user and signs them in.
func (u *UI) setup(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	f := setupFields()
	f.read(values)
	password := f.value("password")
	_, err = v.api.CreateFirstUser(ctx, client.CreateFirstUserRequest{
		Email: f.value("email"), Username: f.value("username"), Password: password, Name: f.value("name"),
	})
	if status, ok := f.refused(err); ok {
		return showAs(status, "door.html", v.setupPage(f)), nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := v.api.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: f.value("email"), Password: password}); err != nil {
		return nil, err
	}
	return redirect{to: "/workspaces", said: "Welcome, " + f.value("username") + ". You own this deployment."}, nil
}

func signInFields(to string) form {
	return form{Fields: []field{
		{Name: "redirect", Kind: "hidden", Value: localPath(to)},
		{Name: "email", Label: "Email", Kind: "email", Required: true, Autocomplete: "username", Autofocus: true},
		{Name: "password", Label: "Password", Kind: "password", Required: true, Autocomplete: "current-password"},
	}}
}

func (v *visit) signInPage(f form) *formPage {
	return &formPage{page: v.stranger("Sign in"), Form: f, Submit: "Sign in"}
}

func (u *UI) signInForm(ctx context.Context, v *visit) (reply, error) {
	has, err := v.api.HasFirstUser(ctx)
	if err == nil && !has {
		return redirect{to: "/setup"}, nil
	}
	p := v.signInPage(signInFields(v.query("redirect")))
	if v.query("ended") != "" {
		p.Intro = "Your session has ended."
	}
	if v.query("undone") != "" {
		p.Intro += " What you just sent was not done: sign in, and send it again."
	}
	return show("door.html", p), nil
}

// signIn opens a session. The cookie is the API's own, so that pages and
// streams are the same session.
func (u *UI) signIn(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	f := signInFields("")
	f.read(values)
	session, err := v.api.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: f.value("email"), Password: f.value("password")})
	status, refused := f.refused(err)
	if isUnauthorized(err) {
		status, refused = http.StatusUnauthorized, true
		f.Problem = refusalText(err)
		f.forgetSecrets()
	}
	if refused {
		return showAs(status, "door.html", v.signInPage(f)), nil
	}
	if err != nil {
		return nil, err
	}
	v.bringTheme(ctx, session.SessionToken)
	return redirect{to: localPath(f.value("redirect"))}, nil
}

// signOut ends the session, on the server too.
func (u *UI) signOut(ctx context.Context, v *visit) (reply, error) {
	if err := v.api.Logout(ctx); err != nil && !isUnauthorized(err) {
		return nil, err
	}
	return redirect{to: "/login", said: "You are signed out."}, nil
}

// handOverPage gives a token to the terminal in which coder login waits.
type handOverPage struct {
	page
	Token string
}

func (u *UI) handOverForm(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Sign in on the command line")
	if isUnauthorized(err) {
		return redirect{to: "/login?" + url.Values{"redirect": {"/cli-auth"}}.Encode()}, nil
	}
	if err != nil {
		return nil, err
	}
	return show("hand_over.html", &handOverPage{page: p}), nil
}

// handOver opens a session of its own for the terminal, and shows its token once.
func (u *UI) handOver(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Your session token")
	if err != nil {
		return nil, err
	}
	key, err := v.api.CreateAPIKey(ctx, client.Me)
	if err != nil {
		return nil, err
	}
	return show("hand_over.html", &handOverPage{page: p, Token: key.Key}), nil
}
