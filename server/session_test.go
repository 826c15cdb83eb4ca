package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// refused asserts the status of a refusal and, when given, the field it names.
func refused(t *testing.T, err error, status int, field ...string) *client.Error {
	t.Helper()
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.StatusCode, "status of: %v", e)
	require.NotEmpty(t, e.Message)
	for _, name := range field {
		found := false
		for _, v := range e.Validations {
			found = found || v.Field == name
		}
		require.True(t, found, "a validation of %s in %+v", name, e)
	}
	return e
}

func TestTheFirstUserIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithoutUsers())
	has, err := s.Client.HasFirstUser(t.Context())
	require.NoError(t, err)
	require.False(t, has)

	first := client.CreateFirstUserRequest{Email: "ann@example.com", Username: "ann", Password: servertest.Password}
	weak := first
	weak.Password = "12345678"
	_, err = s.Client.CreateFirstUser(t.Context(), weak)
	refused(t, err, http.StatusBadRequest, "password")

	made, err := s.Client.CreateFirstUser(t.Context(), first)
	require.NoError(t, err)
	has, err = s.Client.HasFirstUser(t.Context())
	require.NoError(t, err)
	require.True(t, has)

	again := client.CreateFirstUserRequest{Email: "bob@example.com", Username: "bob", Password: servertest.Password}
	_, err = s.Client.CreateFirstUser(t.Context(), again)
	refused(t, err, http.StatusConflict)

	c := s.WithToken(t, s.Login(t, "ANN@example.com", servertest.Password))
	me, err := c.User(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, made.UserID, me.ID)
	require.Equal(t, client.UserActive, me.Status)
	require.Equal(t, []client.SlimRole{{Name: "owner", DisplayName: "Owner"}}, me.Roles)
	require.Contains(t, me.OrganizationIDs, made.OrganizationID)
}
