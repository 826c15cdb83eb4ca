package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const lockFile = ".terraform.lock.hcl"

// lockedVersions are the coder/coder versions that a template's lock file
// pins; none when there is no such file or it does not parse.
func lockedVersions(dir string) []string {
	content, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return nil
	}
	file, diags := hclsyntax.ParseConfig(content, lockFile, hcl.InitialPos)
	if diags.HasErrors() {
		return nil
	}
	versions := []string{}
	body, _, _ := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "provider", LabelNames: []string{"address"}}}})
	for _, block := range body.Blocks {
		if !slices.Contains(CoderAddresses(), block.Labels[0]) {
			continue
		}
		attributes, _ := block.Body.JustAttributes()
		if version, ok := attributes["version"]; ok {
			value, _ := version.Expr.Value(nil)
			if value.Type() == cty.String && value.IsKnown() && !value.IsNull() {
				versions = append(versions, value.AsString())
			}
		}
	}
	return versions
}

// unlockCoder drops coder/coder from the job's copy of the lock file: the
// hashes there are those of the registry's build, not of the embedded one.
func unlockCoder(dir string) error {
	path := filepath.Join(dir, lockFile)
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the lock file: %w", err)
	}
	file, diags := hclwrite.ParseConfig(content, lockFile, hcl.InitialPos)
	if diags.HasErrors() {
		return fmt.Errorf("read the lock file: %w", diags)
	}
	for _, block := range file.Body().Blocks() {
		if block.Type() == "provider" && len(block.Labels()) == 1 && slices.Contains(CoderAddresses(), block.Labels()[0]) {
			file.Body().RemoveBlock(block)
		}
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	return nil
}
