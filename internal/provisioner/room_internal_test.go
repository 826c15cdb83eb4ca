package provisioner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// An engine that can write its state nowhere prints it, among its other lines;
// what a full disk cut off is no state.
func TestDumpedState(t *testing.T) {
	t.Parallel()
	const (
		before = `{"@level":"info","@message":"terraform_data.a: Creation complete after 0s","type":"apply_complete"}`
		dump   = `{"@level":"info","@message":"Emergency state dump","@module":"terraform.ui","state":{"version":4,"serial":3}}`
		later  = `{"@level":"info","@message":"Emergency state dump","@module":"terraform.ui","state":{"version":4,"serial":4}}`
	)
	for name, c := range map[string]struct{ said, want string }{
		"nothing was printed":      {before + "\n", ""},
		"one":                      {before + "\n" + dump + "\n" + before + "\n", `{"version":4,"serial":3}`},
		"the last of two":          {dump + "\n" + later + "\n", `{"version":4,"serial":4}`},
		"without the line's end":   {dump, `{"version":4,"serial":3}`},
		"one that was cut off":     {dump + "\n" + later[:len(later)-10], `{"version":4,"serial":3}`},
		"somebody's word about it": {`{"@message":"local-exec: Emergency state dump","state":{}}` + "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "apply.out")
			require.NoError(t, os.WriteFile(path, []byte(c.said), 0o600))
			require.Equal(t, c.want, string(dumpedState(path)))
		})
	}
	require.Nil(t, dumpedState(filepath.Join(t.TempDir(), "missing")))
}
