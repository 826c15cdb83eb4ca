package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// populated is a scene in which every kind of thing exists, with hostile texts
// wherever the API takes them.
func populated(t *testing.T) *scene {
	t.Helper()
	s, _ := pageScene(t)
	org := s.org.Name
	_, err := s.Client.UpdateOrganization(t.Context(), org, client.UpdateOrganizationRequest{Description: pointer(hostile)})
	require.NoError(t, err)
	s.change(t, client.UpdateTemplateRequest{DisplayName: pointer("<b>Docker</b>"), Description: pointer(hostile)})
	group, err := s.Client.CreateGroup(t.Context(), org, client.CreateGroupRequest{Name: "builders", DisplayName: "<i>Builders</i>", QuotaAllowance: 10})
	require.NoError(t, err)
	_, err = s.Client.UpdateGroup(t.Context(), group.ID, client.UpdateGroupRequest{AddUsers: []string{s.user.ID.String()}})
	require.NoError(t, err)
	_, err = s.Client.CreateRole(t.Context(), org, client.CustomRoleRequest{Name: "watcher", DisplayName: "<u>Watcher</u>", OrganizationPermissions: []client.Permission{{ResourceType: "template", Action: "read"}}})
	require.NoError(t, err)
	s.member.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci"}) //nolint:errcheck // a page without tokens is shown too
	with := func(r *client.CreateWorkspaceRequest) {
		r.RichParameterValues = []client.BuildParameter{{Name: "owner", Value: "ada"}}
	}
	s.running(t, "runs", with)
	s.create(t, "waits", with)
	failed := s.create(t, "fails", with)
	s.worker.take(t).succeed(t)
	s.worker.take(t).fail(t, hostile)
	require.Equal(t, client.JobFailed, s.read(t, failed.ID).LatestBuild.Job.Status)
	return s
}

// TestNoLinkLeadsToARefusal follows every link that the pages offer, as each
// kind of person. What would be refused is not offered; and every page on the
// way is checked as all are: labels, ids, nothing inline, texts as texts.
func TestNoLinkLeadsToARefusal(t *testing.T) {
	t.Parallel()
	s := populated(t)
	people := map[string]string{
		"owner":    "owner@example.com",
		"admin":    s.Person(t, s.org, client.RoleOrgAdmin).User.Email,
		"auditor":  s.Person(t, s.org, "organization-auditor").User.Email,
		"member":   s.user.Email,
		"outsider": s.Outsider(t).User.Email,
	}
	for role, email := range people {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			seen := crawl(t, s.SignedIn(t, email))
			require.Greater(t, len(seen), 8, seen)
			if role == "outsider" {
				for path := range seen {
					require.NotContains(t, path, s.org.Name)
				}
			}
		})
	}
}

// maxCrawl keeps a mistake from crawling for ever.
const maxCrawl = 400

// crawl opens every page that can be reached by links, each once.
func crawl(t *testing.T, b *servertest.Browser) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	from, refused := map[string]string{}, []string{}
	queue := []string{"/workspaces?q=", "/templates"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] || len(seen) > maxCrawl {
			continue
		}
		seen[path] = true
		page := b.Open(path)
		if page.Status != http.StatusOK {
			refused = append(refused, fmt.Sprintf("%d %s, offered on %s", page.Status, path, from[path]))
		}
		for _, mark := range []string{"<script>alert", "<img src=x", "<b>Docker", "<i>Builders", "<u>Watcher"} {
			require.NotContains(t, page.Body, mark, path)
		}
		for _, link := range page.Links() {
			to, err := page.URL.Parse(link)
			require.NoError(t, err)
			to.Fragment = ""
			if to.Host == page.URL.Host && !strings.HasPrefix(to.Path, "/api/") && !seen[relative(to)] {
				queue = append(queue, relative(to))
				from[relative(to)] = path
			}
		}
		slices.Sort(queue)
	}
	require.Empty(t, refused)
	return seen
}

func relative(u *url.URL) string {
	if u.RawQuery == "" {
		return u.Path
	}
	return u.Path + "?" + u.RawQuery
}
