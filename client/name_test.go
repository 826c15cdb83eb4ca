package client_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"coder/client"
)

// lengths are the longest names of each kind; those in paths must come back
// out of a path as they were.
var lengths = map[client.NameKind]int{
	client.NameUsername: 32, client.NameOrganization: 32, client.NameTemplate: 32, client.NameWorkspace: 32, client.NameRole: 32, client.NameGroup: 255,
	client.NameTemplateVersion: 64, client.NameProvisionerKey: 64, client.NameDaemon: 64, client.NameToken: 64, client.NameDisplay: 64, client.NameReal: 128,
}

func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"", "a", "data-platform", "a--b", "-a", "new", "ME", "a.b_c", ".", "..", "a/b", "a b", " a", "ü", "\x00", "\u202e", "\xff", "a%2Fb", "a?b#c", "Everyone", "default", "\u00a0x", "x\u2028"} {
		f.Add(seed)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /names/{name}/end", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.PathValue("name"))) })
	f.Fuzz(func(t *testing.T, name string) {
		for kind, longest := range lengths {
			if err := client.CheckName(kind, name); err != nil {
				var broken *client.NameError
				require.ErrorAs(t, err, &broken)
				require.True(t, utf8.ValidString(err.Error()), "%q", err)
				require.NotContains(t, err.Error(), "\x00")
				continue
			}
			require.True(t, utf8.ValidString(name))
			require.LessOrEqual(t, utf8.RuneCountInString(name), longest, kind)
			for _, r := range name {
				require.False(t, unicode.IsControl(r), "%q as %s", name, kind)
			}
			if name == "" || kind == client.NameDisplay || kind == client.NameReal {
				continue
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/names/"+url.PathEscape(name)+"/end", nil))
			require.Equal(t, http.StatusOK, w.Code, "%q as %s is lost in a path", name, kind)
			require.Equal(t, name, w.Body.String(), kind)
		}
	})
}
