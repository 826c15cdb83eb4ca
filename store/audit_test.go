package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

func appendAudit(t *testing.T, s *store.Store, organizationID uuid.UUID, target string) {
	t.Helper()
	user := uuid.New()
	err := s.InTx(t.Context(), func(tx *store.Store) error {
		return tx.AppendAudit(t.Context(), store.InsertAuditLogParams{
			OrganizationID: organizationID, ID: uuid.New(), CreatedAt: store.At(now.Time), RequestID: uuid.New(), UserID: &user, Username: "ann",
			IP: "10.0.0.1", UserAgent: "agent\x00 \xff", ResourceType: "user", ResourceID: uuid.New(), ResourceTarget: target, Action: "write",
			StatusCode: 200, Diff: `{"name":{"old":"a","new":"b","secret":false}}`, AdditionalFields: `{}`,
		})
	})
	require.NoError(t, err)
}

func verifyAudit(t *testing.T, s *store.Store, organizationID uuid.UUID, known *store.AuditMark) (store.AuditMark, *store.AuditFault) {
	t.Helper()
	mark, more, fault, err := s.VerifyAudit(t.Context(), organizationID, store.AuditPart{Known: known})
	require.NoError(t, err)
	require.False(t, more)
	part, parts := store.AuditPart{Known: known, Most: 2}, 0
	for more = true; more; parts++ {
		var inParts *store.AuditFault
		part.From, more, inParts, err = s.VerifyAudit(t.Context(), organizationID, part)
		require.NoError(t, err)
		if !more {
			require.Equal(t, fault, inParts, "read in parts, it is the same log")
			require.Equal(t, mark, part.From)
		}
	}
	require.EqualValues(t, mark.Entries/2+1, parts)
	return mark, fault
}

func TestAppendingToTheAuditLogNeedsATransaction(t *testing.T) {
	s := storetest.New(t)
	require.ErrorContains(t, s.AppendAudit(t.Context(), store.InsertAuditLogParams{}), "only in a transaction")
}

// Whatever is done to the rows behind the server's back is found, and the
// first entry concerned is named.
func TestTamperingWithTheAuditLogIsFound(t *testing.T) {
	attacks := map[string]struct {
		statements []string
		seq        int64
	}{
		"nothing":                        {nil, 0},
		"another name":                   {[]string{"UPDATE audit_logs SET username = 'bob' WHERE seq = 3 AND organization_id = $1"}, 3},
		"nobody":                         {[]string{"UPDATE audit_logs SET user_id = NULL WHERE seq = 3 AND organization_id = $1"}, 3},
		"another time":                   {[]string{"UPDATE audit_logs SET created_at = created_at + 1 WHERE seq = 2 AND organization_id = $1"}, 2},
		"another difference":             {[]string{"UPDATE audit_logs SET diff = '{}' WHERE seq = 5 AND organization_id = $1"}, 5},
		"a byte moved to the next field": {[]string{"UPDATE audit_logs SET username = 'an', ip = 'n10.0.0.1' WHERE seq = 4 AND organization_id = $1"}, 4},
		"the first removed":              {[]string{"DELETE FROM audit_logs WHERE seq = 1 AND organization_id = $1"}, 1},
		"one removed":                    {[]string{"DELETE FROM audit_logs WHERE seq = 3 AND organization_id = $1"}, 3},
		"one removed and the rest moved": {[]string{"DELETE FROM audit_logs WHERE seq = 3 AND organization_id = $1", "UPDATE audit_logs SET seq = seq - 1 WHERE seq = 4 AND organization_id = $1", "UPDATE audit_logs SET seq = seq - 1 WHERE seq = 5 AND organization_id = $1"}, 3},
		"two swapped":                    {[]string{"UPDATE audit_logs SET seq = 100 WHERE seq = 2 AND organization_id = $1", "UPDATE audit_logs SET seq = 2 WHERE seq = 3 AND organization_id = $1", "UPDATE audit_logs SET seq = 3 WHERE seq = 100 AND organization_id = $1"}, 2},
		"cut":                            {[]string{"DELETE FROM audit_logs WHERE seq > 3 AND organization_id = $1"}, 4},
		"cut with the head moved back":   {[]string{"DELETE FROM audit_logs WHERE seq > 3 AND organization_id = $1", "UPDATE audit_heads SET entries = 3, hash = (SELECT hash FROM audit_logs WHERE seq = 3 AND audit_logs.organization_id = $1) WHERE organization_id = $1"}, 4},
		"the head removed":               {[]string{"DELETE FROM audit_heads WHERE organization_id = $1"}, 1},
		"all removed":                    {[]string{"DELETE FROM audit_heads WHERE organization_id = $1", "DELETE FROM audit_logs WHERE organization_id = $1"}, 1},
		"one copied behind the last":     {[]string{copyAudit("organization_id", "6")}, 6},
		"one copied before the first":    {[]string{copyAudit("organization_id", "0")}, 0},
		"one taken from another log":     {[]string{"DELETE FROM audit_logs WHERE seq = 2 AND organization_id = $1", "UPDATE audit_logs SET organization_id = $1 WHERE seq = 2 AND organization_id <> $1"}, 2},
	}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		exec := func(t *testing.T, statement string, args ...any) {
			t.Helper()
			_, err := s.Raw().ExecContext(t.Context(), statement, args...)
			require.NoError(t, err, statement)
		}
		for name, attack := range attacks {
			t.Run(name, func(t *testing.T) {
				exec(t, "DELETE FROM audit_logs")
				exec(t, "DELETE FROM audit_heads")
				org, other := uuid.New(), uuid.New()
				for i := range 5 {
					appendAudit(t, s, org, fmt.Sprint("thing-", i))
					appendAudit(t, s, other, fmt.Sprint("thing-", i))
				}
				for _, statement := range attack.statements {
					exec(t, statement, org.String())
				}
				mark, fault := verifyAudit(t, s, org, nil)
				if attack.statements == nil {
					require.Nil(t, fault)
					require.EqualValues(t, 5, mark.Entries)
					return
				}
				require.NotNil(t, fault)
				require.Equal(t, attack.seq, fault.Seq, fault.Fault)
			})
		}
	})
}

func copyAudit(organization, seq string) string {
	return "INSERT INTO audit_logs (organization_id, seq, id, created_at, request_id, username, resource_type, resource_id, action, status_code, hash) " +
		"SELECT " + organization + ", " + seq + ", id, created_at, request_id, username, resource_type, resource_id, action, status_code, hash FROM audit_logs WHERE seq = 5 AND organization_id = $1"
}

// Who restores an older copy of everything, head included, is found by a head
// that was noted elsewhere.
func TestANotedHeadFindsAnOlderCopy(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		org := uuid.New()
		appendAudit(t, s, org, "one")
		var hash, seal []byte
		require.NoError(t, s.Raw().QueryRowContext(t.Context(), "SELECT hash, seal FROM audit_heads").Scan(&hash, &seal))
		appendAudit(t, s, org, "two")
		noted, err := s.AuditMarkOf(t.Context(), org)
		require.NoError(t, err)
		_, fault := verifyAudit(t, s, org, &noted)
		require.Nil(t, fault)

		_, err = s.Raw().ExecContext(t.Context(), "DELETE FROM audit_logs WHERE seq = 2")
		require.NoError(t, err)
		_, err = s.Raw().ExecContext(t.Context(), "UPDATE audit_heads SET entries = 1, hash = $1, seal = $2", hash, seal)
		require.NoError(t, err)
		_, fault = verifyAudit(t, s, org, nil)
		require.Nil(t, fault, "the copy is sound in itself")
		_, fault = verifyAudit(t, s, org, &noted)
		require.NotNil(t, fault)
		require.EqualValues(t, 2, fault.Seq)
		require.Contains(t, fault.Fault, "removed with all after it")

		appendAudit(t, s, org, "another two")
		_, fault = verifyAudit(t, s, org, nil)
		require.Nil(t, fault)
		_, fault = verifyAudit(t, s, org, &noted)
		require.NotNil(t, fault)
		require.EqualValues(t, 2, fault.Seq)
		require.Contains(t, fault.Fault, "made anew")
	})
}

// Many writers leave one chain: no number twice, none left out.
func TestConcurrentWritersMakeOneAuditChain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const writers, each = 8, 10
		org := uuid.New()
		var running sync.WaitGroup
		for w := range writers {
			running.Go(func() {
				for i := range each {
					appendAudit(t, s, org, fmt.Sprint(w, "-", i))
				}
			})
		}
		running.Wait()
		mark, fault := verifyAudit(t, s, org, nil)
		require.Nil(t, fault)
		require.EqualValues(t, writers*each, mark.Entries)
	})
}

// A chain that is longer than a page of the verification.
func TestVerifyingALongAuditLog(t *testing.T) {
	s := storetest.New(t)
	org := uuid.New()
	err := s.InTx(t.Context(), func(tx *store.Store) error {
		for range 2500 {
			if err := tx.AppendAudit(t.Context(), store.InsertAuditLogParams{OrganizationID: org, ID: uuid.New(), CreatedAt: store.At(now.Time), ResourceType: "user", Action: "write", Diff: "{}", AdditionalFields: "{}"}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	mark, fault := verifyAudit(t, s, org, nil)
	require.Nil(t, fault)
	require.EqualValues(t, 2500, mark.Entries)
	_, err = s.Raw().ExecContext(t.Context(), "UPDATE audit_logs SET action = 'delete' WHERE seq = 2001")
	require.NoError(t, err)
	_, fault = verifyAudit(t, s, org, nil)
	require.EqualValues(t, 2001, fault.Seq)
}
