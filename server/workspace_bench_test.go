package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// seedWorkspaces makes just the rows of workspaces that run, with an agent each.
func seedWorkspaces(b *testing.B, s *servertest.Server, owners []uuid.UUID, org uuid.UUID, count int) {
	ctx, at := b.Context(), store.At(time.Now())
	require.NoError(b, s.Store.InTx(ctx, func(tx *store.Store) error {
		file, err := tx.InsertFile(ctx, store.InsertFileParams{ID: uuid.New(), CreatedBy: owners[0], Hash: uuid.NewString(), Mimetype: "application/x-tar", Data: []byte{}, CreatedAt: at})
		require.NoError(b, err)
		version, template := uuid.New(), uuid.New()
		asked := 0
		job := func(id uuid.UUID) store.ProvisionerJob {
			asked++
			at := store.At(at.Add(time.Duration(asked) * time.Microsecond))
			j, err := tx.InsertProvisionerJob(ctx, store.InsertProvisionerJobParams{
				ID: uuid.New(), OrganizationID: org, Type: client.JobWorkspaceBuild, Provisioner: "terraform", Tags: store.StringMap{"scope": "organization", "owner": ""}, FileID: file.ID,
				InitiatorID: owners[0], TemplateVersionID: version, WorkspaceBuildID: &id, Input: "{}", CreatedAt: at, UpdatedAt: at,
			})
			require.NoError(b, err)
			err = tx.FinishProvisionerJob(ctx, store.FinishProvisionerJobParams{OrganizationID: org, ID: j.ID, Status: client.JobSucceeded, InDoubt: "[]", Timings: "[]", CompletedAt: at})
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
			w, err := tx.InsertWorkspace(ctx, store.InsertWorkspaceParams{ID: uuid.New(), OrganizationID: org, OwnerID: owner, TemplateID: template, Name: fmt.Sprintf("w-%d-%s", i, org.String()[:8]), AutomaticUpdates: "never", LastUsedAt: at, LatestBuildID: build, CreatedAt: at, UpdatedAt: at})
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

// thousandWorkspaces is a server with them, and the first page of their list.
func thousandWorkspaces(b *testing.B) (*servertest.Server, client.WorkspacesResponse) {
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
	return s, page
}

// BenchmarkListWorkspaces compares 20 of 1,000 rows behind a token with a bare
// handler that encodes the same rows.
func BenchmarkListWorkspaces(b *testing.B) {
	s, page := thousandWorkspaces(b)
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

// BenchmarkGate asks, fifty at a time and in turns, for the list of 20
// workspaces and for what the gate does before it: gate/request is the gate's
// part of the whole.
func BenchmarkGate(b *testing.B) {
	s, _ := thousandWorkspaces(b)
	ask := func() (*httptest.ResponseRecorder, *http.Request) {
		r := httptest.NewRequest(http.MethodGet, "/api/v2/workspaces?limit=20", nil)
		r.Header.Set(client.HeaderSessionToken, s.Token)
		r.Header.Set(client.HeaderBypassRateLimit, "true")
		return httptest.NewRecorder(), r
	}
	const turn = 50
	var whole, gate time.Duration
	for b.Loop() {
		before := processTime(b)
		for range turn {
			w, r := ask()
			s.Server.Handler().ServeHTTP(w, r)
			require.Equal(b, http.StatusOK, w.Code)
		}
		between := processTime(b)
		for range turn {
			require.NoError(b, s.Server.Gate(ask()))
		}
		whole, gate = whole+between-before, gate+processTime(b)-between
	}
	b.ReportMetric(float64(whole.Microseconds())/float64(turn*b.N), "cpu-µs/request")
	b.ReportMetric(float64(gate.Microseconds())/float64(turn*b.N), "cpu-µs/gate")
	b.ReportMetric(float64(gate)/float64(whole), "gate/request")
}

// BenchmarkListAmongMany lists the 1,000 workspaces of one organization, on
// both databases, where they are the only ones and where others have 99,000
// more, in turns: among/alone is what the others cost.
func BenchmarkListAmongMany(b *testing.B) {
	if storetest.Installed() {
		b.Run("postgres", func(b *testing.B) { benchmarkListAmongMany(b, storetest.PostgresOptions) })
	}
	b.Run("sqlite", func(b *testing.B) { benchmarkListAmongMany(b, storetest.SQLiteOptions) })
}

func benchmarkListAmongMany(b *testing.B, options func(testing.TB) store.Options) {
	alone, among := listed(b, storetest.Open(b, options(b))), listed(b, storetest.Open(b, options(b)))
	for i := range 99 {
		org := among.Organization(b, fmt.Sprintf("other-%d", i))
		seedWorkspaces(b, among.Server, []uuid.UUID{among.Owner.ID}, org.ID, 1000)
	}
	if among.Store.Dialect() == store.PostgreSQL {
		require.NoError(b, among.Store.PostgresConn(b.Context(), func(c *pgx.Conn) error { // which its autovacuum does in time
			_, err := c.Exec(b.Context(), "ANALYZE")
			return err
		}))
	}
	for _, who := range []struct {
		name  string
		query string
		as    func(listing) *client.Client
	}{
		{"administrator", "", func(l listing) *client.Client { return l.admin }},
		{"member", "", func(l listing) *client.Client { return l.member }},
		{"owner", "organization:data-platform", func(l listing) *client.Client { return l.owner }},
		{"search", "owner:dev1", func(l listing) *client.Client { return l.admin }},
	} {
		b.Run(who.name, func(b *testing.B) {
			took := map[string][]float64{}
			ask := func(name string, l listing) {
				started := time.Now()
				_, err := who.as(l).Workspaces(b.Context(), client.WorkspacesRequest{Query: who.query, Page: client.Page{Limit: 20}})
				require.NoError(b, err)
				took[name] = append(took[name], float64(time.Since(started).Microseconds()))
			}
			for b.Loop() {
				ask("alone", alone)
				ask("among", among)
			}
			for _, times := range took {
				slices.Sort(times)
			}
			median := func(name string) float64 { return took[name][len(took[name])/2] }
			b.ReportMetric(median("alone"), "alone-µs")
			b.ReportMetric(median("among"), "among-µs")
			b.ReportMetric(median("among")/median("alone"), "among/alone")
		})
	}
}

// listing is a server with an organization of 1,000 workspaces, and who lists them.
type listing struct {
	*servertest.Server
	// owner is one of the deployment, and a member of this organization only.
	admin, member, owner *client.Client
}

func listed(b *testing.B, st *store.Store) listing {
	s := servertest.New(b, servertest.WithStore(st), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) {
		o.Logger, o.DisableRateLimits = slog.New(slog.DiscardHandler), true
	}))
	org := s.Organization(b, "data-platform")
	admin, user := s.NamedMember(b, org, "admin1")
	_, err := s.Client.UpdateOrganizationMemberRoles(b.Context(), org.Name, user.Username, client.UpdateRolesRequest{Roles: []string{"organization-admin"}})
	require.NoError(b, err)
	owner, boss := s.NamedMember(b, org, "owner1")
	_, err = s.Client.UpdateUserRoles(b.Context(), boss.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(b, err)
	member, dev := s.NamedMember(b, org, "dev1")
	owners := []uuid.UUID{dev.ID}
	for range 9 {
		_, user := s.MemberUser(b, org)
		owners = append(owners, user.ID)
	}
	seedWorkspaces(b, s, owners, org.ID, 1000)
	return listing{s, admin, member, owner}
}
