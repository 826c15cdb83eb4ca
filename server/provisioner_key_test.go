package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// withDaemonKey is a client that presents a provisioner key.
func withDaemonKey(t *testing.T, s *servertest.Server, key string) *client.Client {
	t.Helper()
	c, err := client.New(s.URL, client.Options{Header: http.Header{client.HeaderDaemonKey: {key}}})
	require.NoError(t, err)
	return c
}

func TestProvisionerKeys(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org, other := s.Organization(t, "team"), s.Organization(t, "other")
	admin := s.Member(t, org, client.RoleOrgAdmin)

	made, err := admin.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "Cluster-Key", Tags: map[string]string{"env": "prod"}})
	require.NoError(t, err)
	require.Regexp(t, `^[A-Za-z0-9]{43}$`, made.Key)
	_, err = admin.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "second"})
	require.NoError(t, err)
	keys, err := admin.ProvisionerKeys(t.Context(), org.ID.String())
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, "cluster-key", keys[0].Name, "names are kept in lower case, oldest first")
	require.Equal(t, map[string]string{"env": "prod"}, keys[0].Tags)
	require.Equal(t, org.ID, keys[0].Organization)
	require.NotNil(t, keys[1].Tags)

	_, err = admin.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "CLUSTER-key"})
	refused(t, err, http.StatusConflict, "name")
	_, err = s.Client.CreateProvisionerKey(t.Context(), "other", client.CreateProvisionerKeyRequest{Name: "cluster-key"})
	require.NoError(t, err, "names are each organization's own")

	presented, err := withDaemonKey(t, s, made.Key).PresentedProvisionerKey(t.Context())
	require.NoError(t, err)
	require.NotNil(t, presented.LastUsedAt)
	presented.LastUsedAt = nil
	require.Equal(t, keys[0], presented)
	require.NoError(t, admin.DeleteProvisionerKey(t.Context(), "team", "Cluster-Key"))
	_, err = withDaemonKey(t, s, made.Key).PresentedProvisionerKey(t.Context())
	refused(t, err, http.StatusUnauthorized)
	refused(t, admin.DeleteProvisionerKey(t.Context(), "team", "cluster-key"), http.StatusNotFound)
	left, err := s.Client.ProvisionerKeys(t.Context(), other.Name)
	require.NoError(t, err)
	require.Len(t, left, 1, "the other organization's key of the same name is still there")
}

func TestProvisionerKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for name, req := range map[string]client.CreateProvisionerKeyRequest{
		"empty":                {},
		"too long":             {Name: strings.Repeat("k", 65)},
		"blank":                {Name: "  "},
		"control characters":   {Name: "a\nb"},
		"reserved":             {Name: "built-in"},
		"reserved in capitals": {Name: "PSK"},
		"reserved for users":   {Name: "user-Auth"},
	} {
		_, err := s.Client.CreateProvisionerKey(t.Context(), "default", req)
		e := refused(t, err, http.StatusBadRequest, "name")
		require.Len(t, e.Validations, 1, name)
	}
	for _, tags := range []map[string]string{{"scope": "user"}, {"owner": s.Owner.ID.String()}, {"a": "b\x00"}} {
		_, err := s.Client.CreateProvisionerKey(t.Context(), "default", client.CreateProvisionerKeyRequest{Name: "k", Tags: tags})
		refused(t, err, http.StatusBadRequest, "tags")
	}
	for _, name := range []string{"built-in", "PSK", "user-auth"} {
		refused(t, s.Client.DeleteProvisionerKey(t.Context(), "default", name), http.StatusBadRequest)
	}
	keys, err := s.Client.ProvisionerKeys(t.Context(), "default")
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestThePresentedKeyIsTheCredential(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	made, err := s.Client.CreateProvisionerKey(t.Context(), "default", client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	ask := func(path, token string, headers ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v2/provisionerkeys/"+path, nil)
		require.NoError(t, err)
		req.Header.Set(client.HeaderSessionToken, token)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return servertest.Do(t, req).Status
	}
	require.Equal(t, http.StatusOK, ask("anything", "", client.HeaderDaemonKey, made.Key))
	require.Equal(t, http.StatusOK, ask(uuid.NewString(), "", client.HeaderDaemonKey, made.Key))
	require.Equal(t, http.StatusUnauthorized, ask("self", ""))
	require.Equal(t, http.StatusUnauthorized, ask("self", s.Token), "a session is no key")
	require.Equal(t, http.StatusUnauthorized, ask("self", "", client.HeaderDaemonKey, strings.Repeat("x", 43)))
	require.Equal(t, http.StatusBadRequest, ask("self", "", client.HeaderDaemonKey, "short"))
	require.Equal(t, http.StatusBadRequest, ask("self", "", client.HeaderDaemonKey, made.Key, client.HeaderDaemonPSK, "x"))
}

func TestProvisionerKeysAreHiddenFromOutsiders(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	plain, outsider := s.Person(t, org), s.Outsider(t)
	made, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "k", AllowList: []string{"127.0.0.0/8"}})
	require.NoError(t, err)
	_, err = withDaemonKey(t, s, made.Key).PresentedProvisionerKey(t.Context())
	require.NoError(t, err)
	for _, who := range []servertest.Person{plain, s.Person(t, org, "organization-auditor")} {
		keys, err := who.Client.ProvisionerKeys(t.Context(), "team")
		require.NoError(t, err)
		require.Equal(t, "k", keys[0].Name)
		require.Nil(t, keys[0].AllowList, "where a key is good from is for those who may change it")
		require.Nil(t, keys[0].LastUsedAt)
		byKey, err := who.Client.ProvisionerKeyDaemons(t.Context(), "team")
		require.NoError(t, err)
		require.Nil(t, byKey[len(byKey)-1].Key.AllowList)
		require.Contains(t, s.SignedIn(t, who.User.Email).Open("/organizations/team/keys").Text, "not shown to you")
	}
	for _, role := range []string{client.RoleOrgAdmin, "organization-template-admin"} {
		keys, err := s.Person(t, org, role).Client.ProvisionerKeys(t.Context(), "team")
		require.NoError(t, err)
		require.Equal(t, []string{"127.0.0.0/8"}, keys[0].AllowList)
		require.NotNil(t, keys[0].LastUsedAt)
	}
	for _, c := range [][3]string{
		{http.MethodGet, "/provisionerkeys", ""}, {http.MethodGet, "/provisionerkeys/daemons", ""}, {http.MethodGet, "/provisionerdaemons", ""},
		{http.MethodPost, "/provisionerkeys", `{"name":"x"}`}, {http.MethodDelete, "/provisionerkeys/k", ""},
	} {
		hiddenLikeMissing(t, s, outsider.Token, c[0], "/organizations/team"+c[1], "/organizations/missing"+c[1], c[2])
	}
	// A plain member reads keys and their daemons, and changes nothing.
	keys, err := plain.Client.ProvisionerKeys(t.Context(), "team")
	require.NoError(t, err)
	require.Len(t, keys, 1)
	_, err = plain.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "mine"})
	refused(t, err, http.StatusNotFound)
	hiddenLikeMissing(t, s, plain.Token, http.MethodDelete, "/organizations/team/provisionerkeys/k", "/organizations/team/provisionerkeys/missing", "")
}
