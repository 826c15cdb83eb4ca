package ui

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"coder/client"
	"coder/internal/shell"
)

func (u *UI) provisionerKeyRoutes(on *table) {
	const keys = "/organizations/{organization}/keys"
	on.list(keys, u.provisionerKeys)
	on.page(get, keys+"/new", u.newProvisionerKeyForm)
	on.page(post, keys+"/new", u.createProvisionerKey)
	on.page(get, keys+"/{key}/rotate", u.rotateProvisionerKeyForm)
	on.page(post, keys+"/{key}/rotate", u.rotateProvisionerKey)
	on.page(get, keys+"/{key}/delete", u.deleteProvisionerKeyForm)
	on.page(post, keys+"/{key}/delete", u.deleteProvisionerKey)
}

type provisionerKeysPage struct {
	organizationPage
	Keys []client.ProvisionerKeyDaemons
	// Keyless are daemons that joined without a key of the organization.
	Keyless []client.ProvisionerKeyDaemons
	// Now tells which keys have expired.
	Now time.Time
}

// Expired tells whether a key lets nobody in any more.
func (p provisionerKeysPage) Expired(k client.ProvisionerKey) bool {
	return k.ExpiresAt != nil && !k.ExpiresAt.After(p.Now)
}

// Hidden tells whether the person may not see where a key is good from, and when it was used.
func (provisionerKeysPage) Hidden(k client.ProvisionerKey) bool { return k.AllowList == nil }

func (u *UI) provisionerKeys(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationPage(ctx, "keys", "Provisioner keys")
	if err != nil {
		return nil, err
	}
	all, err := v.api.ProvisionerKeyDaemons(ctx, p.Organization.ID.String())
	if err != nil {
		return nil, err
	}
	data := &provisionerKeysPage{organizationPage: p, Now: u.options.Now()}
	for _, k := range all {
		switch {
		case !isReservedKey(k.Key):
			data.Keys = append(data.Keys, k)
		case len(k.Daemons) > 0:
			data.Keyless = append(data.Keyless, k)
		}
	}
	return show("provisioner_keys.html", data), nil
}

// isReservedKey tells whether a key stands for a way to join without one.
func isReservedKey(k client.ProvisionerKey) bool {
	return k.ID == client.ProvisionerKeyBuiltInID || k.ID == client.ProvisionerKeyUserAuthID || k.ID == client.ProvisionerKeyPSKID
}

// DaemonNames are the names of daemons in a row.
func (provisionerKeysPage) DaemonNames(daemons []client.ProvisionerDaemon) string {
	names := make([]string, len(daemons))
	for i, d := range daemons {
		names[i] = d.Name
	}
	return strings.Join(names, ", ")
}

type provisionerKeyFormPage struct {
	organizationPage
	Form            form
	Intro, Command  string
	Submit, Heading string
	// Key is what the form is about; its daemons are named before it goes.
	Key     client.ProvisionerKey
	Daemons []client.ProvisionerDaemon
	Danger  bool
}

// provisionerKeyPage is the answer with a secret, which is shown this once.
type provisionerKeyPage struct {
	organizationPage
	KeyName, Secret string
	// Rotated is when the secret before this one ends; zero for a new key.
	Rotated time.Time
}

// Exports are what a host needs to know before a daemon starts there.
func (p provisionerKeyPage) Exports() string {
	return "export CODER_URL=" + p.AccessURL + "\nexport CODER_PROVISIONER_DAEMON_KEY=" + p.Secret
}

// JoinedPath is where daemons with the key show up.
func (p provisionerKeyPage) JoinedPath() string {
	return p.Path("provisioners") + "?" + url.Values{"key": {p.KeyName}}.Encode()
}

const tagsHint = "One a line, as environment=production. Jobs go to provisioners that have all the tags the template asks for; without tags, to those without."

func newProvisionerKeyFields() form {
	return form{Fields: []field{
		{Name: "name", Label: "Name", Required: true, MaxLength: 64, Autofocus: true, Placeholder: "data-cluster", Hint: "Say where the provisioner will run."},
		{Name: "tags", Label: "Tags", Kind: kindTextarea, Rows: 2, Hint: tagsHint},
		{Name: "expires_at", Label: "Expires", Kind: "date", Hint: "The key is good until the end of that day, UTC. Empty: it never expires."},
		{Name: "allow_list", Label: "Good from", Kind: kindTextarea, Rows: 2, Hint: "Addresses or networks that provisioners come from, one a line, as 10.0.0.0/8. Empty: from anywhere."},
	}}
}

func (u *UI) newProvisionerKeyPage(ctx context.Context, v *visit, f form) (*provisionerKeyFormPage, error) {
	p, err := v.organizationPage(ctx, "keys", "New provisioner key")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("create keys"); err != nil || !allowed {
		return nil, cmp.Or(err, errNotAllowed("provisioner keys"))
	}
	return &provisionerKeyFormPage{
		organizationPage: p, Form: f, Heading: "New provisioner key", Submit: "Create key",
		Intro:   "With a key, provisioners join " + p.Name() + " and run Terraform for its workspaces, on hosts of your choice. One key may serve many of them.",
		Command: "coder provisioner keys create " + shell.Word(cmp.Or(f.value("name"), "data-cluster")) + " --org " + p.Organization.Name,
	}, nil
}

func (u *UI) newProvisionerKeyForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.newProvisionerKeyPage(ctx, v, newProvisionerKeyFields())
	if err != nil {
		return nil, err
	}
	return show("provisioner_key_form.html", p), nil
}

// createProvisionerKey answers with the key itself: it is shown nowhere else.
// Sent again, the name is taken and nothing is made.
func (u *UI) createProvisionerKey(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	f := newProvisionerKeyFields()
	f.read(values)
	p, err := u.newProvisionerKeyPage(ctx, v, f)
	if err != nil {
		return nil, err
	}
	made, err := u.makeProvisionerKey(ctx, v, &p.Form)
	if client.StatusCode(err) == http.StatusConflict {
		p.Form.fault("name", "There is a key of this name. If you have just made it and did not note it, delete it or rotate it on the page before.")
		return showAs(http.StatusConflict, "provisioner_key_form.html", p), nil
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "provisioner_key_form.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return show("provisioner_key.html", &provisionerKeyPage{organizationPage: p.organizationPage, KeyName: strings.ToLower(f.value("name")), Secret: made.Key}), nil
}

func (u *UI) makeProvisionerKey(ctx context.Context, v *visit, f *form) (client.CreateProvisionerKeyResponse, error) {
	tags, err := tagsOf(f.value("tags"))
	if err != nil {
		return client.CreateProvisionerKeyResponse{}, err
	}
	req := client.CreateProvisionerKeyRequest{Name: f.value("name"), Tags: tags, AllowList: lines(f.value("allow_list"))}
	if req.ExpiresAt, err = endOfDay("expires_at", f.value("expires_at")); err != nil {
		return client.CreateProvisionerKeyResponse{}, err
	}
	return v.api.CreateProvisionerKey(ctx, v.path("organization"), req)
}

// lines are the lines that say something.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// tagsOf reads name=value pairs, one a line.
func tagsOf(text string) (map[string]string, error) {
	tags := map[string]string{}
	for _, line := range lines(text) {
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if _, twice := tags[name]; !ok || name == "" || twice {
			return nil, inputError("tags", fmt.Sprintf("%q is not a tag of its own: write each as name=value, on a line of its own.", line))
		}
		tags[name] = value
	}
	return tags, nil
}

// inputError is a refusal of one field, said as the API would.
func inputError(name, text string) error {
	return &client.Error{StatusCode: http.StatusBadRequest, Message: "Nothing was done.", Validations: []client.ValidationError{{Field: name, Detail: text}}}
}

// endOfDay is the last instant of a day, or nil without one.
func endOfDay(name, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return nil, inputError(name, fmt.Sprintf("%q is not a day: write it as 2030-01-31.", text))
	}
	return new(day.AddDate(0, 0, 1).Add(-time.Second)), nil
}

// provisionerKeyFormPage loads the key of the page's path.
func (u *UI) provisionerKeyFormPage(ctx context.Context, v *visit, title string) (*provisionerKeyFormPage, error) {
	p, err := v.organizationPage(ctx, "keys", title)
	if err != nil {
		return nil, err
	}
	all, err := v.api.ProvisionerKeyDaemons(ctx, p.Organization.ID.String())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(k client.ProvisionerKeyDaemons) bool { return !isReservedKey(k.Key) && k.Key.Name == v.path("key") })
	if i < 0 {
		return nil, errNoPage
	}
	return &provisionerKeyFormPage{organizationPage: p, Key: all[i].Key, Daemons: all[i].Daemons}, nil
}

var errKeyStays = &client.Error{StatusCode: http.StatusForbidden, Message: "You may not delete provisioner keys.", Detail: "Ask an administrator."}

// Choices that leave an expiry as it is, or lift it.
const (
	expiryKeep  = "keep"
	expiryNever = "never"
	expiryOn    = "on"
)

func rotateProvisionerKeyFields(k client.ProvisionerKey) form {
	now := "It does not expire now."
	if k.ExpiresAt != nil {
		now = "It expires at " + exact(k.ExpiresAt) + " now."
	}
	f := form{Fields: []field{
		{Name: "overlap", Label: "The secret of before stays good for", Kind: kindSelect, Value: "86400", Hint: "Time to bring the newer one to all hosts. Provisioners that run on the older one are refused after it.", Options: []fieldOption{
			{Value: "0", Label: "no time: it ends at once"}, {Value: "3600", Label: "an hour"}, {Value: "86400", Label: "a day"}, {Value: "604800", Label: "a week"}, {Value: "2592000", Label: "30 days"},
		}},
		{Name: "expiry", Label: "Expiry", Kind: kindRadio, Value: expiryKeep, Hint: now, Options: []fieldOption{
			{Value: expiryKeep, Label: "Leave as it is"}, {Value: expiryNever, Label: "Never"}, {Value: expiryOn, Label: "On a day"},
		}},
		{Name: "expires_at", Label: "Day", Kind: "date", Hint: "The key is good until its end, UTC."},
		{Name: "allow_list", Label: "Good from", Kind: kindTextarea, Rows: 2, Value: strings.Join(k.AllowList, "\n"), Hint: "Addresses or networks, one a line. Empty: from anywhere."},
	}}
	shown := ""
	if k.SecretID != nil {
		shown = k.SecretID.String()
	}
	return f.guardedBy(shown)
}

func (p *provisionerKeyFormPage) rotate() *provisionerKeyFormPage {
	p.Form, p.Heading, p.Submit = rotateProvisionerKeyFields(p.Key), "Rotate "+p.Key.Name, "Make another secret"
	p.Intro = "The key gets another secret, which is shown once. Its tags, and the provisioners that joined with it, stay."
	p.Command = "coder provisioner keys rotate " + shell.Word(p.Key.Name) + " --org " + p.Organization.Name
	return p
}

func (u *UI) rotateProvisionerKeyForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.provisionerKeyFormPage(ctx, v, "Rotate a key")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("create keys"); err != nil || !allowed {
		return nil, cmp.Or(err, errNotAllowed("provisioner keys"))
	}
	return show("provisioner_key_form.html", p.rotate()), nil
}

func (u *UI) rotateProvisionerKey(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.provisionerKeyFormPage(ctx, v, "Rotate a key")
	if err != nil {
		return nil, err
	}
	p.rotate().Form.read(values)
	var made client.RotateProvisionerKeyResponse
	if err = p.Form.stale(); err == nil {
		made, err = v.rotated(ctx, p)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "provisioner_key_form.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return show("provisioner_key.html", &provisionerKeyPage{organizationPage: p.organizationPage, KeyName: p.Key.Name, Secret: made.Key, Rotated: made.PreviousExpiresAt}), nil
}

func (v *visit) rotated(ctx context.Context, p *provisionerKeyFormPage) (client.RotateProvisionerKeyResponse, error) {
	overlap, err := strconv.ParseInt(p.Form.value("overlap"), 10, 64)
	if err != nil {
		return client.RotateProvisionerKeyResponse{}, inputError("overlap", "Choose how long the secret of before stays good.")
	}
	allowed := append([]string{}, lines(p.Form.value("allow_list"))...)
	req := client.RotateProvisionerKeyRequest{OverlapSeconds: &overlap, AllowList: &allowed, SecretID: p.Key.SecretID}
	switch p.Form.value("expiry") {
	case expiryNever:
		req.ExpiresAt = &time.Time{}
	case expiryOn:
		if req.ExpiresAt, err = endOfDay("expires_at", p.Form.value("expires_at")); err != nil {
			return client.RotateProvisionerKeyResponse{}, err
		}
		if req.ExpiresAt == nil {
			return client.RotateProvisionerKeyResponse{}, inputError("expires_at", "Say on which day the key ends.")
		}
	}
	return v.api.RotateProvisionerKey(ctx, p.Organization.ID.String(), p.Key.Name, req)
}

func (p *provisionerKeyFormPage) remove() *provisionerKeyFormPage {
	p.Form, p.Heading, p.Submit, p.Danger = confirmation(p.Key.Name), "Delete "+p.Key.Name, "Delete the key", true
	p.Intro = "All its secrets end at once. Provisioners that joined with it are refused from then on: what they run is interrupted, and its state is handed in."
	p.Command = "coder provisioner keys delete " + shell.Word(p.Key.Name) + " --org " + p.Organization.Name
	return p
}

func (u *UI) deleteProvisionerKeyForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.provisionerKeyFormPage(ctx, v, "Delete a key")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("delete keys"); err != nil || !allowed {
		return nil, cmp.Or(err, error(errKeyStays))
	}
	return show("provisioner_key_form.html", p.remove()), nil
}

func (u *UI) deleteProvisionerKey(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.provisionerKeyFormPage(ctx, v, "Delete a key")
	if err != nil {
		return nil, err
	}
	p.remove().Form.read(values)
	if err = p.Form.confirmed(p.Key.Name); err == nil {
		err = v.api.DeleteProvisionerKey(ctx, p.Organization.ID.String(), p.Key.Name)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "provisioner_key_form.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("keys"), said: "The key " + p.Key.Name + " was deleted."}, nil
}
