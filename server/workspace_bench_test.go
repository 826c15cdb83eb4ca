package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
)

// seedWorkspaces makes just the rows of workspaces that run, with an agent each.
func seedWorkspaces(b *testing.B, s *servertest.Server, owners []uuid.UUID, org uuid.UUID, count int) {
	ctx, at := b.Context(), store.At(time.Now())
	require.NoError(b, s.Store.InTx(ctx, func(tx *store.Store) error {
		file, err := tx.InsertFile(ctx, store.InsertFileParams{ID: uuid.New(), CreatedBy: owners[0], Hash: uuid.NewString(), Mimetype: "application/x-tar", Data: []byte{}, CreatedAt: at})
		require.NoError(b, err)
		version, template := uuid.New(), uuid.New()
		job := func(id uuid.UUID) store.ProvisionerJob {
			j, err := tx.InsertProvisionerJob(ctx, store.InsertProvisionerJobParams{
				ID: uuid.New(), OrganizationID: org, Type: client.JobWorkspaceBuild, Provisioner: "terraform", Tags: store.StringMap{"scope": "organization", "owner": ""}, FileID: file.ID,
				InitiatorID: owners[0], TemplateVersionID: version, WorkspaceBuildID: &id, Input: "{}", CreatedAt: at, UpdatedAt: at,
			})
			require.NoError(b, err)
			j, err = tx.FinishProvisionerJob(ctx, store.FinishProvisionerJobParams{OrganizationID: org, ID: j.ID, Status: client.JobSucceeded, InDoubt: "[]", Timings: "[]", CompletedAt: at})
			require.NoError(b, err)
			return j
		}
		_, err = tx.InsertTemplate(ctx, store.InsertTemplateParams{
			ID: template, OrganizationID: org, Name: "docker", Provisioner: "terraform", ActiveVersionID: version, CreatedBy: owners[0], CreatedAt: at, UpdatedAt: at,
		})
		require.NoError(b, err)
		_, err = tx.InsertTemplateVersion(ctx, store.InsertTemplateVersionParams{ID: version, OrganizationID: org, TemplateID: &template, JobID: job(uuid.New()).ID, Name: "v1", CreatedBy: owners[0], CreatedAt: at, UpdatedAt: at})
		require.NoError(b, err)
		for i := range count {
			build, owner := uuid.New(), owners[i%len(owners)]
			j := job(build)
			w, err := tx.InsertWorkspace(ctx, store.InsertWorkspaceParams{ID: uuid.New(), OrganizationID: org, OwnerID: owner, TemplateID: template, Name: fmt.Sprintf("w-%d", i), AutomaticUpdates: "never", LastUsedAt: at, LatestBuildID: build, CreatedAt: at, UpdatedAt: at})
			require.NoError(b, err)
			_, err = tx.InsertWorkspaceBuild(ctx, store.InsertWorkspaceBuildParams{ID: build, OrganizationID: org, WorkspaceID: w.ID, TemplateVersionID: version, JobID: j.ID, BuildNumber: 1, Transition: "start", Reason: "initiator", InitiatorID: owner, Parameters: "[]", CreatedAt: at, UpdatedAt: at})
			require.NoError(b, err)
			resource := uuid.New()
			require.NoError(b, tx.InsertWorkspaceResource(ctx, store.InsertWorkspaceResourceParams{ID: resource, OrganizationID: org, JobID: j.ID, Transition: "start", Address: "a.b", Type: "a", Name: "b", Metadata: sealedText(b, tx, org, store.PurposeMetadata, "[]"), CreatedAt: at}))
			require.NoError(b, tx.InsertWorkspaceAgent(ctx, store.InsertWorkspaceAgentParams{ID: uuid.New(), OrganizationID: org, ResourceID: resource, JobID: j.ID, Name: "main", HashedToken: []byte{}, Spec: sealedText(b, tx, org, store.PurposeAgent, store.JSON(agentResource(0).Agents[0])), CreatedAt: at, UpdatedAt: at}))
		}
		return nil
	}))
}

// processTime is what the CPU has spent on this process, the client included.
func processTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkListWorkspaces compares 20 of 1,000 rows behind a token with a bare
// handler that encodes the same rows.
func BenchmarkListWorkspaces(b *testing.B) {
	s := servertest.New(b, servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) { o.Logger = slog.New(slog.DiscardHandler) }))
	org := s.Organization(b, "data-platform")
	owners := []uuid.UUID{s.Owner.ID}
	for range 9 {
		_, user := s.MemberUser(b, org)
		owners = append(owners, user.ID)
	}
	seedWorkspaces(b, s, owners, org.ID, 1000)
	page, err := s.Client.Workspaces(b.Context(), client.WorkspacesRequest{Page: client.Page{Limit: 20}})
	require.NoError(b, err)
	require.Len(b, page.Workspaces, 20)
	require.Equal(b, 1000, page.Count)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(page)
	}))
	defer bare.Close()
	load := func(b *testing.B, url string) {
		transport := &http.Transport{MaxIdleConnsPerHost: 10}
		before := processTime(b)
		defer func() { b.ReportMetric(float64((processTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op") }()
		b.SetParallelism(5)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				req, _ := http.NewRequest(http.MethodGet, url, nil)
				req.Header.Set(client.HeaderSessionToken, s.Token)
				reply, err := transport.RoundTrip(req)
				if err != nil || reply.StatusCode != http.StatusOK {
					b.Errorf("list: %v %v", reply, err)
					return
				}
				_, _ = io.Copy(io.Discard, reply.Body)
				reply.Body.Close()
			}
		})
	}
	b.Run("server", func(b *testing.B) { load(b, s.URL+"/api/v2/workspaces?limit=20") })
	b.Run("bare", func(b *testing.B) { load(b, bare.URL) })
}

func sealedText(b *testing.B, tx *store.Store, organizationID uuid.UUID, purpose, text string) []byte {
	b.Helper()
	sealed, err := tx.Seal(b.Context(), organizationID, purpose, []byte(text))
	require.NoError(b, err)
	return sealed
}
