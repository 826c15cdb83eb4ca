package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"coder/internal/enginetest"
	"coder/store/storetest"
)

// TestReplicas runs stories of several servers on one PostgreSQL.
func TestReplicas(t *testing.T) {
	t.Parallel()
	if os.Getenv("CODER_TEST_POSTGRES") == "" && !storetest.Installed() {
		t.Skip("PostgreSQL is not installed: replicas share nothing else")
	}
	engines := filepath.Dir(enginetest.Path(t))
	runStories(t, "testdata/replicas", buildBinary(t)+string(os.PathListSeparator)+engines, map[string]string{
		"TF_CLI_CONFIG_FILE": "", "POSTGRES": storetest.PostgresURL(t),
		"CODER_DEPLOYMENT_KEY": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	})
}
