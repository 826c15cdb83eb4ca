// Package terraform finds Terraform or OpenTofu and drives it: it lays out a
// job's directory, names the command lines and their environment, and reads
// their output, plans, graphs and states. It starts no long-running process
// itself: the supervisor does.
package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/hashicorp/go-version"
)

// Products that an engine can be.
const (
	ProductTerraform = "terraform"
	ProductOpenTofu  = "opentofu"
)

// Oldest releases that know everything we ask of them: terraform_data,
// -json on apply and plan, and graph -type=plan.
const (
	oldestTerraform = "1.7.0"
	oldestOpenTofu  = "1.7.0"
)

// Engine is a Terraform or OpenTofu binary on this host.
type Engine struct {
	Path    string `json:"path"`
	Product string `json:"product"`
	Version string `json:"version"`
}

// FindOptions say where to look for an engine.
type FindOptions struct {
	// Path, when given, is the only place.
	Path string
	// Environment that the engine is asked for its version with.
	Environment []string
	// Fetched is where Download puts it.
	Fetched string
	// Download fetches a verified OpenTofu and returns its path. Nil: an
	// engine that is not there is an error.
	Download func(ctx context.Context) (string, error)
}

// place is the absolute path of the engine that Find would ask, as far as that
// can be told without a download; else empty.
func (o FindOptions) place() string {
	found := o.Path
	if found == "" {
		for _, path := range []string{"terraform", "tofu", o.Fetched} {
			if path, err := exec.LookPath(path); err == nil {
				found = path
				break
			}
		}
	}
	if found == "" {
		return ""
	}
	abs, err := filepath.Abs(found)
	if err != nil {
		return ""
	}
	return abs
}

// Find returns the engine to use: the given path, else terraform, else tofu
// on PATH, else a download. The error says what to install.
func Find(ctx context.Context, opts FindOptions) (Engine, error) {
	if opts.Path != "" {
		return Inspect(ctx, opts.Path, opts.Environment)
	}
	for _, name := range []string{"terraform", "tofu"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		return Inspect(ctx, path, opts.Environment)
	}
	if opts.Download == nil {
		return Engine{}, errors.New("find an engine: neither terraform nor tofu is on PATH; install Terraform or OpenTofu, or name one with --terraform-path")
	}
	path, err := opts.Download(ctx)
	if err != nil {
		return Engine{}, fmt.Errorf("find an engine: neither terraform nor tofu is on PATH, and fetching OpenTofu: %w; install one of them, or name it with --terraform-path", err)
	}
	return Inspect(ctx, path, opts.Environment)
}

var versionLine = regexp.MustCompile(`(?m)^(Terraform|OpenTofu) v(\S+)$`)

// Inspect asks the binary at path what it is, and refuses what is no engine
// or too old.
func Inspect(ctx context.Context, path string, environment []string) (Engine, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Engine{}, fmt.Errorf("inspect engine %s: %w", path, err)
	}
	cmd := exec.CommandContext(ctx, abs, "version")
	cmd.Env = append(cmd.Env, environment...)
	cmd.Env = append(cmd.Env, "CHECKPOINT_DISABLE=1")
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		return Engine{}, fmt.Errorf("inspect engine %s: run version: %w", abs, err)
	}
	found := versionLine.FindSubmatch(out)
	if found == nil {
		return Engine{}, fmt.Errorf("inspect engine %s: its answer to version names neither Terraform nor OpenTofu", abs)
	}
	engine := Engine{Path: abs, Product: ProductTerraform, Version: string(found[2])}
	if string(found[1]) == "OpenTofu" {
		engine.Product = ProductOpenTofu
	}
	if err := engine.check(); err != nil {
		return Engine{}, fmt.Errorf("inspect engine %s: %w", abs, err)
	}
	return engine, nil
}

// check refuses what is too old, or no engine.
func (e Engine) check() error {
	oldest, known := map[string]string{ProductTerraform: oldestTerraform, ProductOpenTofu: oldestOpenTofu}[e.Product]
	if !known {
		return fmt.Errorf("%q is neither Terraform nor OpenTofu", e.Product)
	}
	have, err := version.NewVersion(e.Version)
	if err != nil {
		return fmt.Errorf("version %q: %w", e.Version, err)
	}
	if have.Core().LessThan(version.Must(version.NewVersion(oldest))) {
		return fmt.Errorf("%s is too old, %s or newer is needed", e, oldest)
	}
	return nil
}

// String is how people know the engine: "Terraform 1.11.4".
func (e Engine) String() string {
	if e.Product == ProductOpenTofu {
		return "OpenTofu " + e.Version
	}
	return "Terraform " + e.Version
}

// initSpeaksJSON: init learned -json later than plan and apply did.
func (e Engine) initSpeaksJSON() bool {
	have, err := version.NewVersion(e.Version)
	return err == nil && have.Core().GreaterThanOrEqual(version.Must(version.NewVersion("1.9.0")))
}
