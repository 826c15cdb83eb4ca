package terraform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// CoderAddresses are the addresses that the coder/coder provider is known under.
func CoderAddresses() []string {
	return []string{"registry.terraform.io/coder/coder", "registry.opentofu.org/coder/coder"}
}

// overrideFile pins the local backend, so that no setting can send the state
// of a workspace somewhere else than to the server.
const (
	overrideFile = "zz_coder_backend_override.tf"
	overrideText = "terraform {\n  backend \"local\" {\n    path = \"terraform.tfstate\"\n  }\n}\n"
)

// source is what the daemon itself reads of a template before an engine does.
type source struct {
	// backends are the places of backend and cloud blocks, "main.tf:3".
	backends []string
	// constraints on the version of coder/coder, of the root module and of
	// every module in the archive.
	constraints []string
	// aliased: a provider block for coder has an alias, so that one process
	// cannot stand for all of its configurations.
	aliased bool
	// types of the root module's variables as written, by name.
	types map[string]string
}

// scanSource reads the configuration files below dir. A file that does not
// parse is left to the engine, which explains it better.
func scanSource(dir string) (source, error) {
	found := source{types: map[string]string{}}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".terraform":
			return filepath.SkipDir
		case entry.IsDir() || !isConfiguration(entry.Name()):
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return found.scanFile(path, filepath.ToSlash(rel))
	})
	if err != nil {
		return source{}, fmt.Errorf("read the template's files: %w", err)
	}
	return found, nil
}

func isConfiguration(name string) bool {
	return slices.ContainsFunc([]string{".tf", ".tf.json", ".tofu", ".tofu.json"}, func(suffix string) bool {
		return strings.HasSuffix(name, suffix)
	})
}

func (s *source) scanFile(path, rel string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parser := hclparse.NewParser()
	parse := parser.ParseHCL
	if strings.HasSuffix(path, ".json") {
		parse = parser.ParseJSON
	}
	file, diags := parse(content, rel)
	if file == nil || diags.HasErrors() {
		return nil
	}
	root := !strings.Contains(rel, "/")
	body, _, _ := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "terraform"}, {Type: "variable", LabelNames: []string{"name"}}, {Type: "provider", LabelNames: []string{"name"}},
	}})
	for _, block := range body.Blocks {
		switch {
		case block.Type == "terraform":
			s.scanSettings(block, rel, root)
		case block.Type == "provider":
			body, _, _ := block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "alias"}}})
			s.aliased = s.aliased || body.Attributes["alias"] != nil
		case root:
			s.scanVariable(block, content)
		}
	}
	return nil
}

func (s *source) scanSettings(block *hcl.Block, rel string, root bool) {
	body, _, _ := block.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "backend", LabelNames: []string{"type"}}, {Type: "cloud"}, {Type: "required_providers"},
	}})
	for _, inner := range body.Blocks {
		switch {
		case inner.Type == "required_providers":
			s.scanProviders(inner)
		case root:
			s.backends = append(s.backends, fmt.Sprintf("%s:%d", rel, inner.DefRange.Start.Line))
		}
	}
}

func (s *source) scanProviders(block *hcl.Block) {
	attributes, _ := block.Body.JustAttributes()
	for _, attribute := range attributes {
		value, diags := attribute.Expr.Value(nil)
		if diags.HasErrors() || !value.CanIterateElements() {
			continue
		}
		fields := map[string]string{}
		for key, element := range value.AsValueMap() {
			if !element.IsNull() && element.Type().FriendlyName() == "string" {
				fields[key] = element.AsString()
			}
		}
		source := strings.ToLower(fields["source"])
		if source == "coder/coder" || slices.Contains(CoderAddresses(), source) {
			s.constraints = append(s.constraints, fields["version"])
		}
	}
}

func (s *source) scanVariable(block *hcl.Block, content []byte) {
	body, _, _ := block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "type"}}})
	if attribute, ok := body.Attributes["type"]; ok {
		s.types[block.Labels[0]] = strings.Trim(string(attribute.Expr.Range().SliceBytes(content)), `"`)
	}
}

// checkBackends refuses a template that would keep its state elsewhere.
func (s source) checkBackends() error {
	if len(s.backends) == 0 {
		return nil
	}
	return fmt.Errorf("%s: a template cannot have a backend or cloud block, because the server keeps the state of every workspace; remove it", strings.Join(s.backends, ", "))
}

// served tells whether one process of the embedded provider can serve every
// engine call of a job.
func (s source) served() bool { return len(s.constraints) > 0 && !s.aliased }

// accepts tells whether every constraint allows the given coder/coder version.
func (s source) accepts(have string) (bool, error) {
	v, err := version.NewVersion(have)
	if err != nil {
		return false, fmt.Errorf("read the provider's version: %w", err)
	}
	for _, text := range s.constraints {
		if strings.TrimSpace(text) == "" {
			continue
		}
		constraint, err := version.NewConstraint(text)
		if err != nil {
			return false, errors.New("required_providers: the version constraint " + text + " of coder/coder cannot be read")
		}
		if !constraint.Check(v) {
			return false, nil
		}
	}
	return true, nil
}
