package terraform_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/terraform"
)

func TestWhatIsKnownIsForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	dir, cacheDir, now := t.TempDir(), t.TempDir(), time.Now()
	engine, provider := filepath.Join(dir, "terraform"), filepath.Join(dir, "coder")
	for _, path := range []string{engine, provider} {
		require.NoError(t, os.WriteFile(path, nil, 0o700)) //nolint:gosec // they are programs
	}
	hash, err := terraform.HashProvider(t.Context(), provider)
	require.NoError(t, err)
	known := terraform.Known{Engine: terraform.Engine{Path: engine, Product: terraform.ProductTerraform, Version: "1.11.4"}, Provider: hash}
	cache := terraform.OpenCache(cacheDir, func() time.Time { return now })
	recall := func() bool {
		recalled, found := cache.Recall(terraform.FindOptions{Path: engine}, provider)
		if found {
			require.Equal(t, known, recalled)
		}
		return found
	}

	require.False(t, recall())
	require.NoError(t, cache.Remember(known, provider))
	now = now.Add(29 * 24 * time.Hour)
	require.NoError(t, cache.Prune(t.Context()))
	require.True(t, recall())
	now = now.Add(2 * 24 * time.Hour)
	require.NoError(t, cache.Prune(t.Context()))
	require.False(t, recall())

	require.NoError(t, cache.Remember(known, provider))
	require.True(t, recall())
	require.NoError(t, os.WriteFile(provider, []byte("another"), 0o600))
	require.False(t, recall(), "the provider has changed")
}
