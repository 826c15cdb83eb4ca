package ui

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) templateCreateRoutes(on *table) {
	on.page(get, "/templates/new", u.newTemplateForm)
	on.page(post, "/templates/new", u.importTemplate)
	on.page(get, "/templates/new/{version}", u.newTemplateVersion)
	on.page(post, "/templates/new/{version}", u.createTemplate)
	on.page(post, "/templates/new/{version}/again", u.importNewTemplateAgain)
	on.page(post, "/templates/new/{version}/cancel", u.cancelNewTemplate)
}

// Where the source of a template comes from.
const (
	sourceArchive = "archive"
	sourceExample = "example-" // and the starter's id
)

// formMemory is how much of an upload is kept in memory while it is read.
const formMemory = 8 << 20

// newTemplatePage asks where the source of a template is.
type newTemplatePage struct {
	page
	Form form
	// Organization is the one that is chosen; Provisioners are its daemons
	// that are here, where Known.
	Organization client.Organization
	Provisioners []client.ProvisionerDaemon
	Known        bool

	examples []client.TemplateExample
}

// newTemplatePage loads where the person may make templates, and the starters.
func (u *UI) newTemplatePage(ctx context.Context, v *visit, chosen string) (*newTemplatePage, error) {
	all, err := v.api.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	asked := checks{}
	for _, o := range all {
		asked["create templates in "+o.ID.String()] = inOrganization(o.ID, "create", "template")
	}
	p := &newTemplatePage{}
	if p.page, err = v.page(ctx, "New template", asked); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o client.Organization) bool { return !p.rights["create templates in "+o.ID.String()] })
	if len(all) == 0 {
		return nil, errNotAllowed("templates")
	}
	if err := v.chooseOrganization(ctx, p, all, chosen); err != nil {
		return nil, err
	}
	byTitle(all)
	examples, err := v.api.TemplateExamples(ctx)
	if err != nil && !client.IsNotFound(err) {
		return nil, err
	}
	p.examples = examples
	p.Form = newTemplateFields(all, examples, p.Organization.Name)
	return p, nil
}

// askedForProvisioners is in how many organizations a page looks for one.
const askedForProvisioners = 8

// byTitle sorts organizations as people read them.
func byTitle(organizations []client.Organization) {
	slices.SortStableFunc(organizations, func(a, b client.Organization) int {
		return cmp.Compare(strings.ToLower(cmp.Or(a.DisplayName, a.Name)), strings.ToLower(cmp.Or(b.DisplayName, b.Name)))
	})
}

// chooseOrganization takes the one that was chosen, else the first where a
// provisioner would import the template, else the first; those that the person
// belongs to come before all others.
func (v *visit) chooseOrganization(ctx context.Context, p *newTemplatePage, all []client.Organization, chosen string) error {
	all = slices.Clone(all)
	byTitle(all)
	slices.SortStableFunc(all, func(a, b client.Organization) int {
		return cmp.Compare(p.foreign(a.ID), p.foreign(b.ID))
	})
	if i := slices.IndexFunc(all, func(o client.Organization) bool { return o.Name == chosen }); i >= 0 {
		all = all[i : i+1]
	}
	for i, o := range all[:min(len(all), askedForProvisioners)] {
		daemons, err := v.api.ProvisionerDaemons(ctx, o.ID.String(), client.ProvisionerDaemonsRequest{})
		if err != nil && !client.IsNotFound(err) {
			return err
		}
		if i == 0 || len(daemons) > 0 {
			slices.SortFunc(daemons, func(a, b client.ProvisionerDaemon) int { return cmp.Compare(a.Name, b.Name) })
			p.Organization, p.Provisioners, p.Known = o, daemons, err == nil
		}
		if len(daemons) > 0 {
			return nil
		}
	}
	return nil
}

// foreign is 1 for an organization that the person does not belong to.
func (p *newTemplatePage) foreign(id uuid.UUID) int {
	if slices.Contains(p.Viewer.OrganizationIDs, id) {
		return 0
	}
	return 1
}

func newTemplateFields(organizations []client.Organization, examples []client.TemplateExample, chosen string) form {
	in := field{Name: "organization", Label: "Organization", Kind: kindSelect, Value: chosen, Required: true, Hint: "Its members will see the template, and its provisioners build it."}
	for _, o := range organizations {
		in.Options = append(in.Options, fieldOption{Value: o.Name, Label: cmp.Or(o.DisplayName, o.Name)})
	}
	source := field{Name: "source", Label: "Source", Kind: kindRadio, Required: true, Value: sourceArchive}
	for _, e := range examples {
		source.Options = append(source.Options, fieldOption{Value: sourceExample + e.ID, Label: "Starter: " + e.Name, Hint: e.Description})
	}
	if len(examples) > 0 {
		source.Value = sourceExample + examples[0].ID
	}
	source.Options = append(source.Options, fieldOption{Value: sourceArchive, Label: "An archive of my own", Hint: "Terraform files as .tar, .tar.gz or .zip, with main.tf at the top."})
	archive := archiveField()
	archive.Needed = true // and not required, which a browser without script would ask of starters too
	return form{Fields: []field{
		in, source, archive,
		{Name: "name", Label: "Name", MaxLength: 32, Hint: "Letters, digits and single hyphens. The starter's own when empty; an archive needs one."},
		{Name: "display_name", Label: "Display name", MaxLength: 64, Hint: "What people read. The starter's own when empty, or else the name."},
		{Name: "description", Label: "Description", MaxLength: 127, Hint: "The starter's own when empty."},
		{Name: "tags", Label: "Provisioner tags", Kind: kindTextarea, Rows: 2, Hint: tagsHint},
		{Name: "once", Kind: "hidden", Value: newVersionName()},
	}}
}

func archiveField() field {
	return field{Name: "file", Label: "Archive", Kind: "file", Hint: "A .tar, .tar.gz or .zip with main.tf at the top, 100 MiB at most. It has to be chosen again when the form comes back."}
}

// newVersionName is a name that no other version has.
func newVersionName() string { return "import-" + uuid.NewString()[:8] }

func (u *UI) newTemplateForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.newTemplatePage(ctx, v, v.query("organization"))
	if err != nil {
		return nil, err
	}
	if id := v.query("starter"); id != "" {
		p.Form.Fields[p.Form.index("source")].Value = sourceExample + id
	}
	return show("template_new.html", p), nil
}

// importTemplate sends the source to a provisioner. The template is made when
// that has succeeded, on the page that follows.
func (u *UI) importTemplate(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsedUpload(ctx)
	if err != nil {
		return nil, err
	}
	p, err := u.newTemplatePage(ctx, v, values.Get("organization"))
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	id, err := u.importedOnce(ctx, v, p)
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "template_new.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	starter := p.starter()
	q := url.Values{
		"name":         {p.templateName()},
		"display_name": {cmp.Or(p.Form.value("display_name"), starter.Name)},
		"description":  {cmp.Or(p.Form.value("description"), starter.Description)},
	}
	return redirect{to: newVersionPath(id) + "?" + q.Encode()}, nil
}

// starter is the one that was chosen; it has no id where an archive was.
func (p *newTemplatePage) starter() client.TemplateExample {
	i := slices.IndexFunc(p.examples, func(e client.TemplateExample) bool { return sourceExample+e.ID == p.Form.value("source") })
	if i < 0 {
		return client.TemplateExample{}
	}
	return p.examples[i]
}

// templateName is what was typed, or else the starter's name.
func (p *newTemplatePage) templateName() string { return cmp.Or(p.Form.value("name"), p.starter().ID) }

// importedOnce is the version that the form asks for: the one that it has
// made already, or else another one.
func (u *UI) importedOnce(ctx context.Context, v *visit, p *newTemplatePage) (uuid.UUID, error) {
	if p.Form.value("organization") != p.Organization.Name {
		return uuid.Nil, inputError("organization", "Choose one of your organizations.")
	}
	if err := u.checkTemplateName(ctx, v, p); err != nil {
		return uuid.Nil, err
	}
	req, err := v.importRequest(ctx, p.Form)
	if err != nil {
		return uuid.Nil, err
	}
	jobs, err := v.api.ProvisionerJobs(ctx, p.Organization.ID.String(), client.ProvisionerJobsRequest{Initiator: p.Viewer.ID, Limit: jobsListed})
	if err != nil && !client.IsNotFound(err) {
		return uuid.Nil, err
	}
	for _, j := range jobs {
		if j.Metadata.TemplateVersionName == req.Name && j.Input.TemplateVersionID != nil {
			return *j.Input.TemplateVersionID, nil
		}
	}
	made, err := v.api.CreateTemplateVersion(ctx, p.Organization.ID.String(), req)
	return made.ID, err
}

// checkTemplateName refuses a name before anything is imported for it.
func (u *UI) checkTemplateName(ctx context.Context, v *visit, p *newTemplatePage) error {
	name := p.templateName()
	if name == "" {
		return inputError("name", "Give the template a name.")
	}
	if err := client.CheckName(client.NameTemplate, name); err != nil {
		return inputError("name", err.Error())
	}
	_, err := v.api.TemplateByName(ctx, p.Organization.ID.String(), name)
	if err == nil {
		return inputError("name", fmt.Sprintf("%s has a template %s already; choose another name.", cmp.Or(p.Organization.DisplayName, p.Organization.Name), name))
	}
	if !client.IsNotFound(err) {
		return err
	}
	return nil
}

// importRequest is the import that a form asks for. Its name follows from the
// form and all that was chosen in it, so that the same is not imported twice.
func (v *visit) importRequest(ctx context.Context, f form) (client.CreateTemplateVersionRequest, error) {
	req := client.CreateTemplateVersionRequest{StorageMethod: client.StorageFile, Provisioner: client.ProvisionerTerraform}
	var err error
	if req.Tags, err = tagsOf(f.value("tags")); err != nil {
		return req, err
	}
	if err = v.setSource(ctx, &req, f.value("source")); err != nil {
		return req, err
	}
	file := ""
	if req.FileID != nil {
		file = req.FileID.String()
	}
	sum := sha256.Sum256([]byte(strings.Join(append(tagList(req.Tags), f.value("once"), req.ExampleID, file), "\n")))
	req.Name = "import-" + hex.EncodeToString(sum[:4])
	return req, nil
}

// setSource names the starter, or uploads the archive.
func (v *visit) setSource(ctx context.Context, req *client.CreateTemplateVersionRequest, source string) error {
	if id, ok := strings.CutPrefix(source, sourceExample); ok {
		req.ExampleID = id
		return nil
	}
	id, err := v.uploaded(ctx, "file")
	req.FileID = &id
	return err
}

// parsedUpload is parsed for a form that may carry a file. Nothing of it is
// read for whoever is not signed in; serve removes what it lays on the disk.
func (v *visit) parsedUpload(ctx context.Context) (url.Values, error) {
	if _, err := v.api.User(ctx, client.Me); err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); err != nil || kind != "multipart/form-data" {
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "What was sent is not a form of these pages."}
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, client.MaxUpload+maxForm)
	err := v.r.ParseMultipartForm(formMemory)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &client.Error{StatusCode: http.StatusRequestEntityTooLarge, Message: "The archive is larger than 100 MiB.", Detail: "Leave out what Terraform does not need, such as .git and .terraform."}
	case err != nil:
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "What was sent is not a form of these pages."}
	}
	return v.r.PostForm, nil
}

// uploaded stores the archive of a form.
func (v *visit) uploaded(ctx context.Context, name string) (uuid.UUID, error) {
	file, _, err := v.r.FormFile(name)
	if err != nil {
		return uuid.Nil, inputError(name, "Choose an archive.")
	}
	defer file.Close()
	kind, content, err := archiveOf(file)
	if err != nil {
		return uuid.Nil, inputError(name, "The archive cannot be read: "+err.Error()+".")
	}
	made, err := v.api.Upload(ctx, kind, content)
	if client.StatusCode(err) == http.StatusBadRequest {
		return uuid.Nil, inputError(name, refusalText(err))
	}
	return made.ID, err
}

// archiveOf tells a zip from a tar by its first bytes, and opens one that is
// packed by gzip. The API limits what is read.
func archiveOf(file io.ReadSeeker) (kind string, content io.Reader, err error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", nil, err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK")):
		return client.ContentTypeZip, file, nil
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		unpacked, err := gzip.NewReader(file)
		if err != nil {
			return "", nil, err
		}
		return client.ContentTypeTar, io.LimitReader(unpacked, client.MaxUpload+1), nil
	}
	return client.ContentTypeTar, file, nil
}

// newTemplateVersionPage is an import that is to become a template.
type newTemplateVersionPage struct {
	page
	versionView
	Organization client.Organization
	// Form makes the template.
	Form form
}

// Asks tells whether something about how the template is called is missing or
// wrong; else it is shown, and nobody has to say it twice.
func (p newTemplateVersionPage) Asks() bool {
	return p.Form.value("name") == "" || p.Form.Problem != "" || slices.ContainsFunc(p.Form.Fields, func(f field) bool { return f.Error != "" })
}

// OrganizationTitle is what people call the organization.
func (p newTemplateVersionPage) OrganizationTitle() string {
	return cmp.Or(p.Organization.DisplayName, p.Organization.Name)
}

func newTemplateVersionFields(values url.Values) form {
	return form{Fields: []field{
		{Name: "name", Label: "Name", Value: values.Get("name"), Required: true, MaxLength: 32, Hint: "Letters, digits and single hyphens."},
		{Name: "display_name", Label: "Display name", Value: values.Get("display_name"), MaxLength: 64},
		{Name: "description", Label: "Description", Value: values.Get("description"), MaxLength: 127},
	}}
}

// newTemplateVersionPage loads the version of the page's path. Of one that has
// become a template it is that template's page.
func (u *UI) newTemplateVersionPage(ctx context.Context, v *visit) (*newTemplateVersionPage, reply, error) {
	id, err := uuid.Parse(v.path("version"))
	if err != nil {
		return nil, nil, errNoPage
	}
	version, err := v.api.TemplateVersion(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if version.TemplateID != nil {
		t, err := v.api.Template(ctx, *version.TemplateID)
		return nil, redirect{to: templatePath(t), said: "The template " + t.Name + " was made."}, err
	}
	p := &newTemplateVersionPage{Form: newTemplateVersionFields(v.r.URL.Query())}
	if p.Organization, err = v.api.Organization(ctx, version.OrganizationID.String()); err != nil {
		return nil, nil, err
	}
	mayCreate := inOrganization(version.OrganizationID, "create", "template")
	p.page, err = v.page(ctx, "Import · New template", checks{
		"create": mayCreate, "import": mayCreate, "cancel": inOrganization(version.OrganizationID, "update", "template"),
		"read provisioners": inOrganization(version.OrganizationID, "read", "provisioner_jobs"),
	})
	if err != nil {
		return nil, nil, err
	}
	p.versionView, err = v.versionView(ctx, version)
	p.AgainPath, p.CancelPath = p.ActionPath("again"), p.ActionPath("cancel")
	return p, nil, err
}

// ActionPath is where a form of the page goes; the names that were typed go along.
func (p newTemplateVersionPage) ActionPath(action string) string {
	q := url.Values{}
	for _, f := range p.Form.Fields {
		q.Set(f.Name, f.Value)
	}
	path := newVersionPath(p.Version.ID)
	if action != "" {
		path += "/" + action
	}
	return path + "?" + q.Encode()
}

func (u *UI) newTemplateVersion(ctx context.Context, v *visit) (reply, error) {
	p, other, err := u.newTemplateVersionPage(ctx, v)
	if err != nil || other != nil {
		return other, err
	}
	return show("template_new_version.html", p), nil
}

// createTemplate makes a template of an import that has succeeded.
func (u *UI) createTemplate(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, other, err := u.newTemplateVersionPage(ctx, v)
	if err != nil || other != nil {
		return other, err
	}
	p.Form.read(values)
	t, err := v.api.CreateTemplate(ctx, p.Organization.ID.String(), client.CreateTemplateRequest{
		Name: p.Form.value("name"), VersionID: p.Version.ID, DisplayName: p.Form.value("display_name"), Description: p.Form.value("description"),
	})
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "template_new_version.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: templatePath(t), said: "The template " + t.Name + " was made. Everyone in " + p.OrganizationTitle() + " may use it."}, nil
}

// importNewTemplateAgain imports the same source with other values.
func (u *UI) importNewTemplateAgain(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, other, err := u.newTemplateVersionPage(ctx, v)
	if err != nil || other != nil {
		return other, err
	}
	made, err := v.importAgain(ctx, &p.versionView, values)
	if status, ok := p.Values.refused(err); ok {
		return showAs(status, "template_new_version.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: newVersionPath(made.ID) + "?" + v.r.URL.RawQuery}, nil
}

func (u *UI) cancelNewTemplate(ctx context.Context, v *visit) (reply, error) {
	id, err := uuid.Parse(v.path("version"))
	if err != nil {
		return nil, errNoPage
	}
	return v.canceled(ctx, id, newVersionPath(id)+"?"+v.r.URL.RawQuery)
}
