package store_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

func TestPlans(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := seedOrganization(t, s, "plan")
		seed := `INSERT INTO provisioner_jobs (id, organization_id, type, provisioner, status, file_id, initiator_id, template_version_id, created_at, updated_at)
			SELECT 'job' || n, $1, 'workspace_build', 'terraform', 'succeeded', $2, '', '', n, n FROM generate_series(1, 10000) n`
		if s.Dialect() == store.SQLite {
			seed = strings.Replace(seed, "generate_series(1, 10000) n", "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10000) SELECT n FROM c)", 1)
		}
		_, err := s.Raw().ExecContext(t.Context(), seed, f.organization.ID.String(), f.file.ID.String())
		require.NoError(t, err)
		_, err = s.Raw().ExecContext(t.Context(), "ANALYZE")
		require.NoError(t, err)
		for _, q := range []string{"SELECT * FROM provisioner_jobs WHERE id IN (SELECT value FROM json_list($1))", "UPDATE job_attempts SET renewed_at = 1, lost_at = NULL WHERE id IN (SELECT value FROM json_list($1)) AND current = TRUE"} {
			t.Log(strings.Join(s.Explain(t, q, store.IDs([]uuid.UUID{uuid.New(), uuid.New()})), "\n"))
		}
	})
}
