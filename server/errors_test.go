package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// Who waits in vain for what others hold is told so, and may try again.
func TestWhatTakesTooLongSaysSo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := servertest.New(t, servertest.WithStore(st))
		org := s.Organization(t, "team")
		name := "late"
		require.NoError(t, st.InTx(t.Context(), func(tx *store.Store) error {
			row, err := tx.GetOrganization(t.Context(), org.ID)
			require.NoError(t, err)
			_, err = tx.UpdateOrganization(t.Context(), store.UpdateOrganizationParams{OrganizationID: row.ID, Name: row.Name, DisplayName: "held", UpdatedAt: row.UpdatedAt})
			require.NoError(t, err)
			_, err = s.Client.UpdateOrganization(t.Context(), org.Name, client.UpdateOrganizationRequest{Name: name})
			e := refused(t, err, http.StatusServiceUnavailable)
			require.Contains(t, e.Message, "too busy")
			return nil
		}))
		_, err := s.Client.UpdateOrganization(t.Context(), org.Name, client.UpdateOrganizationRequest{Name: name})
		require.NoError(t, err)
	})
}
