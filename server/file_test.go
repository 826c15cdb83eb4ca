package server_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestFilesAreStoredOnceForEachUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "platform")
	first, second := s.Member(t, org), s.Member(t, org)
	data := tarOf(t, map[string]string{"main.tf": plainTemplate})

	status, id := postFile(t, s, s.Token, client.ContentTypeTar, data)
	require.Equal(t, http.StatusCreated, status)
	again, same := postFile(t, s, s.Token, client.ContentTypeTar, data)
	require.Equal(t, http.StatusOK, again)
	require.Equal(t, id, same)

	a, err := first.Upload(t.Context(), client.ContentTypeTar, bytes.NewReader(data))
	require.NoError(t, err)
	b, err := second.Upload(t.Context(), client.ContentTypeTar, bytes.NewReader(data))
	require.NoError(t, err)
	require.NotEqual(t, a.ID, b.ID)

	got, kind, err := first.Download(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.Equal(t, client.ContentTypeTar, kind)
	_, _, hidden := second.Download(t.Context(), a.ID)
	_, _, missing := second.Download(t.Context(), uuid.New())
	sameRefusal(t, missing, hidden)
	refused(t, hidden, http.StatusNotFound)
}

func postFile(t *testing.T, s *servertest.Server, token, kind string, data []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v2/files", bytes.NewReader(data))
	require.NoError(t, err)
	req.Header.Set("Content-Type", kind)
	req.Header.Set(client.HeaderSessionToken, token)
	r := servertest.Do(t, req)
	return r.Status, r.Body
}

func TestAZipIsStoredAsATar(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for _, kind := range []string{client.ContentTypeZip, "application/x-zip-compressed"} {
		r, err := s.Client.Upload(t.Context(), kind, bytes.NewReader(zipOf(t, map[string]string{"main.tf": plainTemplate + "\n# " + kind})))
		require.NoError(t, err)
		data, got, err := s.Client.Download(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, client.ContentTypeTar, got)
		header, err := tar.NewReader(bytes.NewReader(data)).Next()
		require.NoError(t, err)
		require.Equal(t, "main.tf", header.Name)

		back, err := s.Client.DownloadZip(t.Context(), r.ID)
		require.NoError(t, err)
		zipped, err := zip.NewReader(bytes.NewReader(back), int64(len(back)))
		require.NoError(t, err)
		require.Len(t, zipped.File, 1)
	}
}

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, content := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func rawTar(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write(bytes.Repeat([]byte{'x'}, int(h.Size)))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestBadUploadsAreRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	good := tarOf(t, map[string]string{"main.tf": plainTemplate})
	for name, c := range map[string]struct {
		kind string
		data []byte
		says string
	}{
		"another content type":   {"text/plain", good, "text/plain"},
		"no content type":        {"", good, "content type"},
		"no archive":             {client.ContentTypeTar, []byte(strings.Repeat("no tar ", 200)), "tar was expected"},
		"a tar called zip":       {client.ContentTypeZip, good, "zip was expected"},
		"an empty archive":       {client.ContentTypeTar, rawTar(t), "empty"},
		"a path that leads out":  {client.ContentTypeTar, rawTar(t, tar.Header{Name: "../main.tf", Size: 1, Mode: 0o644}), "../main.tf"},
		"an absolute path":       {client.ContentTypeTar, rawTar(t, tar.Header{Name: "/etc/main.tf", Size: 1, Mode: 0o644}), "/etc/main.tf"},
		"a link":                 {client.ContentTypeTar, rawTar(t, tar.Header{Name: "main.tf", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "main.tf"},
		"a device":               {client.ContentTypeTar, rawTar(t, tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}), "null"},
		"a name there twice":     {client.ContentTypeTar, rawTar(t, tar.Header{Name: "a.tf", Size: 1, Mode: 0o644}, tar.Header{Name: "a.tf", Size: 1, Mode: 0o644}), "twice"},
		"an archive that breaks": {client.ContentTypeTar, good[:520], "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := postFile(t, s, s.Token, c.kind, c.data)
			require.Equal(t, http.StatusBadRequest, status, body)
			require.Contains(t, body, c.says)
		})
	}
	t.Run("an archive over the limit", func(t *testing.T) {
		status, body := postFile(t, s, s.Token, client.ContentTypeTar, make([]byte, client.MaxUpload+1))
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, body, "104857600")
	})
	t.Run("an id that is no UUID, an unknown format", func(t *testing.T) {
		status, _ := s.Raw(t, s.Token, http.MethodGet, "/files/main", "")
		require.Equal(t, http.StatusBadRequest, status)
		id := upload(t, s.Client, map[string]string{"main.tf": plainTemplate})
		status, _ = s.Raw(t, s.Token, http.MethodGet, "/files/"+id.String()+"?format=rar", "")
		require.Equal(t, http.StatusBadRequest, status)
	})
	t.Run("nobody signed in", func(t *testing.T) {
		status, _ := postFile(t, s, "", client.ContentTypeTar, good)
		require.Equal(t, http.StatusUnauthorized, status)
	})
}

func TestAFileIsReadByWhoeverReadsATemplateMadeOfIt(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	v, err := b.admin.TemplateVersion(t.Context(), tpl.ActiveVersionID)
	require.NoError(t, err)
	_, _, err = b.member.Download(t.Context(), v.Job.FileID)
	require.NoError(t, err)
	_, _, err = b.Outsider(t).Client.Download(t.Context(), v.Job.FileID)
	refused(t, err, http.StatusNotFound)
}
