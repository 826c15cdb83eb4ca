package server_test

import (
	"bytes"
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/archive"
	"coder/server/servertest"
)

// templateBench is a server with an organization, who works in it, and one
// provisioner that the test plays itself.
type templateBench struct {
	*servertest.Server
	org client.Organization
	// admin is an administrator of the organization, member a plain member.
	admin, member *client.Client
	daemons       *client.Client
	daemon        client.RegisteredDaemon
}

func newTemplateBench(t *testing.T, options ...servertest.Option) *templateBench {
	t.Helper()
	return newTemplateBenchIn(t, servertest.New(t, options...), "platform")
}

// newTemplateBenchIn is one of another organization of a server.
func newTemplateBenchIn(t *testing.T, s *servertest.Server, organization string) *templateBench {
	t.Helper()
	b := &templateBench{Server: s, org: s.Organization(t, organization)}
	b.admin = s.Member(t, b.org, client.RoleOrgAdmin)
	b.member = s.Member(t, b.org)
	b.daemons, b.daemon = b.join(t, b.org, nil)
	return b
}

// join registers a provisioner of an organization.
func (b *templateBench) join(t *testing.T, org client.Organization, tags map[string]string) (*client.Client, client.RegisteredDaemon) {
	t.Helper()
	key, err := b.Client.CreateProvisionerKey(t.Context(), org.ID.String(), client.CreateProvisionerKeyRequest{Name: "key-" + uuid.NewString()[:8], Tags: tags})
	require.NoError(t, err)
	c, err := client.New(b.URL, client.Options{Header: http.Header{client.HeaderDaemonKey: {key.Key}}})
	require.NoError(t, err)
	d, err := c.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
		Name: "daemon-" + uuid.NewString()[:8], Provisioners: []string{client.ProvisionerTerraform}, HostID: uuid.NewString(), Version: servertest.Version, APIVersion: "1.0",
	})
	require.NoError(t, err)
	return c, d
}

// take waits for a job and begins it.
func (b *templateBench) take(t *testing.T) (*client.AcquiredJob, *client.Attempt) {
	t.Helper()
	job, err := b.daemons.AcquireJob(t.Context(), b.daemon.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(t, err)
	require.NotNil(t, job, "no job came")
	attempt := b.daemons.Attempt(job.AttemptID, job.Secret)
	require.NoError(t, attempt.Confirm(t.Context()))
	require.NoError(t, attempt.StartEngine(t.Context()))
	return job, attempt
}

// importAs ends the next job, which must be an import, with a result.
func (b *templateBench) importAs(t *testing.T, result client.ImportResult) *client.AcquiredJob {
	t.Helper()
	job, attempt := b.take(t)
	require.Equal(t, client.JobTemplateVersionImport, job.Type)
	settled, err := attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &result})
	require.NoError(t, err)
	require.Equal(t, client.JobSucceeded, settled.Status)
	return job
}

// failImport ends the next job badly.
func (b *templateBench) failImport(t *testing.T, req client.FailJobRequest) {
	t.Helper()
	_, attempt := b.take(t)
	req.EngineDead = true
	settled, err := attempt.Fail(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, settled.Status)
}

// upload stores files as an archive of the client's.
func upload(t *testing.T, c *client.Client, files map[string]string) uuid.UUID {
	t.Helper()
	r, err := c.Upload(t.Context(), client.ContentTypeTar, bytes.NewReader(tarOf(t, files)))
	require.NoError(t, err)
	return r.ID
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	tar, err := archive.TarFS(fsys, archive.Options{})
	require.NoError(t, err)
	return tar
}

const plainTemplate = `resource "terraform_data" "main" {}`

// versionRequest is the import of a main.tf.
func versionRequest(t *testing.T, c *client.Client, source string) client.CreateTemplateVersionRequest {
	t.Helper()
	id := upload(t, c, map[string]string{"main.tf": source})
	return client.CreateTemplateVersionRequest{StorageMethod: client.StorageFile, Provisioner: client.ProvisionerTerraform, FileID: &id}
}

// version makes one that waits for its import; change may be nil.
func (b *templateBench) version(t *testing.T, source string, change func(*client.CreateTemplateVersionRequest)) client.TemplateVersion {
	t.Helper()
	req := versionRequest(t, b.admin, source)
	if change != nil {
		change(&req)
	}
	v, err := b.admin.CreateTemplateVersion(t.Context(), b.org.ID.String(), req)
	require.NoError(t, err)
	return v
}

// template makes one of an imported version.
func (b *templateBench) template(t *testing.T, name string) client.Template {
	t.Helper()
	v := b.version(t, plainTemplate, nil)
	b.importAs(t, client.ImportResult{})
	tpl, err := b.admin.CreateTemplate(t.Context(), b.org.ID.String(), client.CreateTemplateRequest{Name: name, VersionID: v.ID})
	require.NoError(t, err)
	return tpl
}

// versionOf makes another version of a template, which waits for its import.
func (b *templateBench) versionOf(t *testing.T, tpl client.Template, name string) client.TemplateVersion {
	t.Helper()
	return b.version(t, plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.TemplateID, r.Name = &tpl.ID, name })
}

// fieldOf is what an error says of one input.
func fieldOf(t *testing.T, e *client.Error, field string) string {
	t.Helper()
	for _, v := range e.Validations {
		if v.Field == field {
			return v.Detail
		}
	}
	require.Failf(t, "no validation", "want one of %s, got %+v", field, e.Validations)
	return ""
}

// sameRefusal wants two calls to be told apart by nothing.
func sameRefusal(t *testing.T, want, got error) {
	t.Helper()
	var x, y *client.Error
	require.ErrorAs(t, want, &x)
	require.ErrorAs(t, got, &y)
	require.Equal(t, x.StatusCode, y.StatusCode)
	require.Equal(t, x.Message, y.Message)
	require.Equal(t, x.Detail, y.Detail)
	require.Equal(t, x.Validations, y.Validations)
}
