package ui

import (
	"net/http"
	"strings"

	"coder/client"
)

type homePage struct {
	page
	HasUsers bool
}

type signInPage struct {
	page
	Email   string
	Problem string
}

type tokenPage struct {
	page
	Token string
}

func (u *UI) home(w http.ResponseWriter, r *http.Request) {
	data := homePage{page: u.page("Coder")}
	c, err := u.client(r)
	if err == nil {
		data.HasUsers, err = c.HasFirstUser(r.Context())
	}
	if err != nil {
		u.options.Logger.ErrorContext(r.Context(), "home page", "error", err)
		data.HasUsers = true
	}
	u.render(w, r, http.StatusOK, "home.html", data)
}

func (u *UI) signInForm(w http.ResponseWriter, r *http.Request) {
	u.render(w, r, http.StatusOK, "sign_in.html", signInPage{page: u.page("Sign in")})
}

// signIn opens a session and shows its token, to be pasted into the terminal.
func (u *UI) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	form := signInPage{page: u.page("Sign in"), Email: strings.TrimSpace(r.PostFormValue("email"))}
	password := r.PostFormValue("password")
	if form.Email == "" || password == "" {
		form.Problem = "Give both your email address and your password."
		u.render(w, r, http.StatusBadRequest, "sign_in.html", form)
		return
	}
	c, err := u.client(r)
	if err != nil {
		_, form.Problem = problem(err)
		u.render(w, r, http.StatusInternalServerError, "sign_in.html", form)
		return
	}
	session, err := c.LoginWithPassword(r.Context(), client.LoginWithPasswordRequest{Email: form.Email, Password: password})
	if err != nil {
		status, text := problem(err)
		form.Problem = text
		u.render(w, r, status, "sign_in.html", form)
		return
	}
	u.render(w, r, http.StatusOK, "token.html", tokenPage{u.page("Your session token"), session.SessionToken})
}
