package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// A list of jobs is narrowed and cut by the database, on both as the API says:
// the newest that match, tags to the letter, and a tag that is asked for
// without a value is one that the job lacks.
func TestJobsAreNarrowedByTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := servertest.New(t, servertest.WithStore(st), servertest.WithoutLoops())
		org, other := s.Organization(t, "data-platform"), s.Organization(t, "elsewhere")
		at := time.Now().Add(-time.Hour)
		file, err := st.InsertFile(t.Context(), store.InsertFileParams{ID: uuid.New(), CreatedBy: s.Owner.ID, Hash: uuid.NewString(), Mimetype: "application/x-tar", Data: []byte{}, CreatedAt: store.At(at)})
		require.NoError(t, err)
		asked := 0
		job := func(org client.Organization, env string) string {
			asked++
			tags := store.StringMap{"scope": "organization", "owner": ""}
			if env != "" {
				tags["env"] = env
			}
			created := store.At(at.Add(time.Duration(asked) * time.Second))
			j, err := st.InsertProvisionerJob(t.Context(), store.InsertProvisionerJobParams{
				ID: uuid.New(), OrganizationID: org.ID, Type: client.JobTemplateVersionImport, Provisioner: "terraform", Tags: tags, FileID: file.ID,
				InitiatorID: s.Owner.ID, TemplateVersionID: uuid.New(), Input: "{}", CreatedAt: created, UpdatedAt: created,
			})
			require.NoError(t, err)
			return j.ID.String()
		}
		oldest, plain, strange := job(org, "prod"), job(org, ""), job(org, `a_b%c"<\`)
		capitals := []string{job(org, "PROD"), job(org, "Prod"), job(org, "pROD")}
		newest := job(org, "prod")
		job(other, "prod")

		list := func(query url.Values) (ids []string) {
			status, body := s.Raw(t, s.Token, http.MethodGet, "/organizations/"+org.Name+"/provisionerjobs?"+query.Encode(), "")
			require.Equal(t, http.StatusOK, status, body)
			var jobs []client.ProvisionerJob
			require.NoError(t, json.Unmarshal([]byte(body), &jobs))
			for _, j := range jobs {
				ids = append(ids, j.ID.String())
			}
			return ids
		}
		require.Equal(t, []string{newest, capitals[2]}, list(url.Values{"limit": {"2"}}))
		require.Len(t, list(url.Values{"limit": {"9999999999"}}), 7)
		require.Equal(t, []string{newest, oldest}, list(url.Values{"tags": {`{"env":"prod"}`}}))
		require.Equal(t, []string{newest, oldest}, list(url.Values{"tags": {`{"env":"prod"}`}, "limit": {"2"}}), "other letters between them take no place")
		require.Equal(t, []string{newest}, list(url.Values{"tags": {`{"env":"prod"}`}, "limit": {"1"}}))
		require.Equal(t, []string{strange}, list(url.Values{"tags": {`{"env":"a_b%c\"<\\"}`}}))
		require.Equal(t, []string{plain}, list(url.Values{"tags": {`{"env":""}`}}))
		require.Equal(t, []string{oldest}, list(url.Values{"ids": {oldest}, "status": {client.JobPending}, "initiator": {s.Owner.ID.String()}}))
		require.Empty(t, list(url.Values{"status": {client.JobRunning}}))
		require.Empty(t, list(url.Values{"initiator": {uuid.NewString()}}))
	})
}
