package ui

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"coder/client"
)

func (u *UI) accountRoutes(on *table) {
	on.page(get, "/account", u.account)
	on.page(post, "/account/profile", u.changeProfile)
	on.page(post, "/account/password", u.changePassword)
	on.page(get, "/account/appearance", u.appearance)
	on.page(post, "/account/appearance", u.changeAppearance)
	on.page(get, "/account/schedule", u.quietHours)
	on.page(post, "/account/schedule", u.changeQuietHours)
	u.tokenRoutes(on)
}

// accountPage is what every page of a person's own account shows.
type accountPage struct {
	page
	// Tab is the page's entry in the side navigation.
	Tab string
}

func (v *visit) accountPage(ctx context.Context, tab, title string, more ...checks) (accountPage, error) {
	p, err := v.page(ctx, title, more...)
	return accountPage{p, tab}, err
}

type profilePage struct {
	accountPage
	Profile, Password form
}

func passwordFields() form {
	return form{Fields: []field{
		{Name: "old_password", Label: "Current password", Kind: "password", Required: true, Autocomplete: "current-password"},
		{Name: "password", Label: "New password", Kind: "password", Required: true, MaxLength: 64, Autocomplete: "new-password", Hint: "The server refuses passwords that are easily guessed."},
		{Name: "again", Label: "New password again", Kind: "password", Required: true, MaxLength: 64, Autocomplete: "new-password"},
	}}
}

func (v *visit) profilePage(ctx context.Context) (*profilePage, error) {
	me, err := v.api.User(ctx, client.Me)
	if err != nil {
		return nil, err
	}
	p, err := v.accountPage(ctx, "profile", "Account", checks{"rename": onUser(me.ID, "update")})
	return &profilePage{p, profileFields(me, p.rights["rename"]), passwordFields()}, err
}

func (u *UI) account(ctx context.Context, v *visit) (reply, error) {
	p, err := v.profilePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("account.html", p), nil
}

func (u *UI) changeProfile(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.profilePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Profile.read(values)
	_, err = v.api.UpdateUserProfile(ctx, client.Me, client.UpdateUserProfileRequest{Username: p.Profile.value("username"), Name: p.Profile.value("name")})
	if status, ok := p.Profile.refused(err); ok {
		return showAs(status, "account.html", p), nil
	}
	return redirect{to: "/account", said: "Your profile was saved."}, err
}

// changePassword ends every session and token, and opens a session anew for
// this browser.
func (u *UI) changePassword(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.profilePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Password.read(values)
	password := p.Password.value("password")
	if password != p.Password.value("again") {
		err = badField("again", "This is not the same as the new password.")
	} else {
		err = v.api.UpdateUserPassword(ctx, client.Me, client.UpdateUserPasswordRequest{OldPassword: p.Password.value("old_password"), Password: password})
	}
	if status, ok := p.Password.refused(err); ok {
		return showAs(status, "account.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	if err := v.signInAnew(ctx, p.Viewer.Email, password); err != nil {
		return redirect{to: "/login", said: "Your password was changed. Sign in with the new one."}, nil
	}
	return redirect{to: "/account", said: "Your password was changed. Every other session and every token of yours has ended."}, nil
}

func (v *visit) signInAnew(ctx context.Context, email, password string) error {
	stranger, err := v.client("")
	if err != nil {
		return err
	}
	_, err = stranger.LoginWithPassword(ctx, client.LoginWithPasswordRequest{Email: email, Password: password})
	return err
}

type appearancePage struct {
	accountPage
	Form form
}

// systemTheme is the choice of no theme of one's own.
const systemTheme = "auto"

func themeFields(a client.UserAppearance) form {
	chosen := a.ThemePreference
	if chosen != "light" && chosen != "dark" {
		chosen = systemTheme
	}
	return form{Fields: []field{{Name: "theme_preference", Label: "Theme", Kind: kindRadio, Value: chosen, Options: []fieldOption{
		{Value: systemTheme, Label: "As the system", Hint: "Light by day and dark by night, where your system changes."},
		{Value: "light", Label: "Light"},
		{Value: "dark", Label: "Dark"},
	}}}}
}

func (u *UI) appearance(ctx context.Context, v *visit) (reply, error) {
	p, err := v.accountPage(ctx, "appearance", "Appearance")
	if err != nil {
		return nil, err
	}
	a, err := v.api.UserAppearance(ctx, client.Me)
	if err != nil {
		return nil, err
	}
	return show("appearance.html", &appearancePage{p, themeFields(a)}), nil
}

func (u *UI) changeAppearance(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.accountPage(ctx, "appearance", "Appearance")
	if err != nil {
		return nil, err
	}
	a, err := v.api.UserAppearance(ctx, client.Me)
	if err != nil {
		return nil, err
	}
	f := themeFields(a)
	f.read(values)
	a.ThemePreference = f.value("theme_preference")
	a, err = v.api.UpdateUserAppearance(ctx, client.Me, a)
	if status, ok := f.refused(err); ok {
		return showAs(status, "appearance.html", &appearancePage{p, f}), nil
	}
	if err != nil {
		return nil, err
	}
	v.keepTheme(a)
	return redirect{to: "/account/appearance", said: "The theme was saved, for every browser that you sign in with."}, nil
}

// keepTheme makes the browser ask for pages in its person's theme.
func (v *visit) keepTheme(a client.UserAppearance) {
	c := &http.Cookie{
		Name: themeCookie, Value: a.ThemePreference, Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()), HttpOnly: true,
		Secure: v.ui.options.SecureCookie, SameSite: http.SameSiteLaxMode,
	}
	if a.ThemePreference != "light" && a.ThemePreference != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	v.setCookies = append(v.setCookies, c)
}

// bringTheme brings a person's theme to the browser in which they sign in.
func (v *visit) bringTheme(ctx context.Context, token string) {
	person, err := v.client(token)
	if err != nil {
		return
	}
	// Without an answer the pages look as the system does; that keeps nobody out.
	if a, err := person.UserAppearance(ctx, client.Me); err == nil {
		v.keepTheme(a)
	}
}

type schedulePage struct {
	accountPage
	Hours client.QuietHours
	Form  form
}

func quietHoursFields(h client.QuietHours) form {
	return form{Fields: []field{
		{Name: "time", Label: "Begin at", Kind: "time", Value: h.Time, Required: true, ReadOnly: !h.UserCanSet},
		{Name: "schedule", Label: "Time zone", Value: h.Timezone, Required: true, MaxLength: 64, ReadOnly: !h.UserCanSet, Placeholder: "Europe/Berlin", Hint: "A name of the IANA list, such as Europe/Berlin or America/New_York."},
	}}
}

// cronOf is the daily schedule of a time of day in a zone.
func cronOf(clock, zone string) (string, error) {
	hour, minute, _ := strings.Cut(clock, ":")
	h, err := strconv.Atoi(hour)
	if err == nil {
		var m int
		if m, err = strconv.Atoi(minute[:min(2, len(minute))]); err == nil {
			return fmt.Sprintf("CRON_TZ=%s %d %d * * *", zone, m, h), nil
		}
	}
	return "", badField("time", "This is not a time of day, such as 22:30.")
}

func (v *visit) schedulePage(ctx context.Context) (*schedulePage, error) {
	p, err := v.accountPage(ctx, "schedule", "Quiet hours")
	if err != nil {
		return nil, err
	}
	hours, err := v.api.QuietHours(ctx, client.Me)
	return &schedulePage{p, hours, quietHoursFields(hours)}, err
}

func (u *UI) quietHours(ctx context.Context, v *visit) (reply, error) {
	p, err := v.schedulePage(ctx)
	if err != nil {
		return nil, err
	}
	return show("schedule.html", p), nil
}

func (u *UI) changeQuietHours(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := v.schedulePage(ctx)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	schedule := ""
	if values.Get("action") != "default" {
		schedule, err = cronOf(p.Form.value("time"), cmp.Or(p.Form.value("schedule"), "UTC"))
	}
	if err == nil {
		_, err = v.api.UpdateQuietHours(ctx, client.Me, client.UpdateQuietHoursRequest{Schedule: schedule})
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "schedule.html", p), nil
	}
	return redirect{to: "/account/schedule", said: "The quiet hours were saved."}, err
}
