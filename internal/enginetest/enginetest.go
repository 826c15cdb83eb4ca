// Package enginetest gives tests the engine that they run.
package enginetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coder/internal/tofu"
)

// Variable names the engine that the tests run, instead of the one on PATH:
// the suites are run with Terraform and with OpenTofu.
const Variable = "CODER_TEST_ENGINE"

// Path is the engine of Variable, else terraform, else tofu on PATH, else the
// verified OpenTofu that the product itself fetches, kept in the person's
// cache directory. Where none can be had the test is skipped, and says so; in
// CI it fails.
func Path(t testing.TB) string {
	t.Helper()
	path, err := find()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("an engine is needed: %v", err)
	default:
		t.Skipf("NOT TESTED: %s needs Terraform or OpenTofu. Neither is on PATH, and %v", t.Name(), err)
	}
	return path
}

// Paths are Terraform and OpenTofu where both are on PATH, else the one that
// Path finds.
func Paths(t testing.TB) []string {
	t.Helper()
	paths := []string{}
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return []string{Path(t)}
	}
	return paths
}

// find looks once for all tests of a binary.
var find = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(Variable); path != "" {
		return path, nil
	}
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no place to keep one: %w", err)
	}
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return tofu.Ensure(ctx, filepath.Join(cache, "coder-test"), tofu.Options{})
})
