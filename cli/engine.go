package cli

import (
	"context"

	"coder/internal/tofu"
)

// fetchEngine downloads a verified OpenTofu release where a host has neither
// terraform nor tofu.
func fetchEngine(cacheDir string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return tofu.Ensure(ctx, cacheDir, tofu.Options{}) }
}
