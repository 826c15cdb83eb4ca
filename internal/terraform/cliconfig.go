package terraform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	hclv1 "github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
	hclprinter "github.com/hashicorp/hcl/hcl/printer"
)

// OperatorConfig is the CLI configuration that the host's operator made, with
// which ours is merged.
type OperatorConfig struct {
	// Files in the order in which the engine would read them.
	Files []string
	// PluginDirs are the host's implied mirrors, which the engine searches
	// when no configuration says where providers come from.
	PluginDirs []string
}

// FindOperatorConfig looks where the engine would. A TF_CLI_CONFIG_FILE that
// names no file counts as none.
func FindOperatorConfig(getenv func(string) string, product string) OperatorConfig {
	home := getenv("HOME")
	found := OperatorConfig{PluginDirs: existing(
		filepath.Join(home, ".terraform.d", "plugins"),
		filepath.Join(firstSet(getenv("XDG_DATA_HOME"), filepath.Join(home, ".local", "share")), product, "plugins"),
		filepath.Join("/usr/local/share", product, "plugins"),
		filepath.Join("/usr/share", product, "plugins"),
	)}
	if path := firstSet(getenv("TF_CLI_CONFIG_FILE"), getenv("TERRAFORM_CONFIG")); path != "" {
		found.Files = existing(path)
		return found
	}
	if home == "" {
		return found
	}
	names := []string{".terraformrc"}
	if product == ProductOpenTofu {
		names = []string{".tofurc", ".terraformrc"}
	}
	for _, name := range names {
		if files := existing(filepath.Join(home, name)); len(files) > 0 {
			found.Files = files
			break
		}
	}
	for _, pattern := range []string{"*.tfrc", "*.tfrc.json"} {
		matches, _ := filepath.Glob(filepath.Join(home, ".terraform.d", pattern))
		found.Files = append(found.Files, slices.DeleteFunc(matches, func(path string) bool {
			return filepath.Base(path) == "credentials.tfrc.json"
		})...)
	}
	return found
}

// hasPluginCache tells whether the operator's configuration names a plugin cache.
func (c OperatorConfig) hasPluginCache() bool {
	return slices.ContainsFunc(c.Files, func(path string) bool {
		content, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(content), "plugin_cache_dir")
	})
}

// ProviderSources says in words where engines look for providers.
func (w *Workshop) ProviderSources() string {
	if len(w.operator.Files) > 0 {
		return "where the host's CLI configuration says (" + strings.Join(w.operator.Files, ", ") + ")"
	}
	places := append([]string{"in the registry that its address names"}, w.operator.PluginDirs...)
	return strings.Join(places, " and in ")
}

func firstSet(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

func existing(paths ...string) []string {
	found := []string{}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// MergeConfig is the operator's configuration with our mirror added to it.
// With embedded set, coder/coder comes from the mirror and nowhere else;
// without, it comes from where the operator's configuration or the registry
// has it, and the mirror is left out.
func MergeConfig(operator OperatorConfig, mirror string, embedded bool) (string, error) {
	merged := &ast.ObjectList{}
	for _, path := range operator.Files {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the CLI configuration: %w", err)
		}
		file, err := hclv1.ParseBytes(content)
		if err != nil {
			return "", fmt.Errorf("read the CLI configuration %s: %w", path, err)
		}
		list, ok := file.Node.(*ast.ObjectList)
		if !ok {
			return "", fmt.Errorf("read the CLI configuration %s: it is no list of settings", path)
		}
		merged.Items = append(merged.Items, list.Items...)
	}
	if !embedded {
		return printConfig(merged)
	}
	installation := findInstallation(merged)
	if installation == nil {
		text, err := printConfig(merged)
		return text + defaultInstallation(operator.PluginDirs, mirror), err
	}
	if err := addMirror(installation, mirror); err != nil {
		return "", err
	}
	return printConfig(merged)
}

func printConfig(list *ast.ObjectList) (string, error) {
	if len(list.Items) == 0 {
		return "", nil
	}
	var text strings.Builder
	if err := hclprinter.Fprint(&text, list); err != nil {
		return "", fmt.Errorf("write the CLI configuration: %w", err)
	}
	return text.String() + "\n", nil
}

func findInstallation(list *ast.ObjectList) *ast.ObjectType {
	for _, item := range list.Items {
		if len(item.Keys) == 1 && strings.Trim(item.Keys[0].Token.Text, `"`) == "provider_installation" {
			if object, ok := item.Val.(*ast.ObjectType); ok {
				return object
			}
		}
	}
	return nil
}

// addMirror puts our mirror into the operator's block, and takes coder/coder
// out of every other method: two methods are both asked, and a host that
// cannot be reached would fail the job.
func addMirror(installation *ast.ObjectType, mirror string) error {
	for _, item := range installation.List.Items {
		method, ok := item.Val.(*ast.ObjectType)
		if !ok || strings.Trim(item.Keys[0].Token.Text, `"`) == "dev_overrides" {
			continue
		}
		excluded := CoderAddresses()
		kept := []*ast.ObjectItem{}
		for _, setting := range method.List.Items {
			if strings.Trim(setting.Keys[0].Token.Text, `"`) != "exclude" {
				kept = append(kept, setting)
				continue
			}
			list, ok := setting.Val.(*ast.ListType)
			if !ok {
				return errors.New("read the CLI configuration: exclude is no list")
			}
			for _, entry := range list.List {
				if literal, ok := entry.(*ast.LiteralType); ok {
					excluded = append(excluded, strings.Trim(literal.Token.Text, `"`))
				}
			}
		}
		parsed, err := hclv1.Parse("exclude = " + quotedList(excluded))
		if err != nil {
			return fmt.Errorf("write the CLI configuration: %w", err)
		}
		method.List.Items = append(kept, parsed.Node.(*ast.ObjectList).Items...)
	}
	parsed, err := hclv1.Parse(mirrorBlock(mirror, CoderAddresses()))
	if err != nil {
		return fmt.Errorf("write the CLI configuration: %w", err)
	}
	installation.List.Items = append(installation.List.Items, parsed.Node.(*ast.ObjectList).Items...)
	return nil
}

// defaultInstallation says in words what the engine does when nothing is
// configured: what the host's plugin directories hold comes from there, the
// rest directly; and coder/coder comes from our mirror.
func defaultInstallation(pluginDirs []string, mirror string) string {
	var text strings.Builder
	text.WriteString("provider_installation {\n")
	text.WriteString(mirrorBlock(mirror, CoderAddresses()))
	excluded := CoderAddresses()
	for _, dir := range pluginDirs {
		held := slices.DeleteFunc(mirroredProviders(dir), func(address string) bool { return slices.Contains(CoderAddresses(), address) })
		if len(held) == 0 {
			continue
		}
		text.WriteString(mirrorBlock(dir, held))
		excluded = append(excluded, held...)
	}
	fmt.Fprintf(&text, "  direct {\n    exclude = %s\n  }\n}\n", quotedList(excluded))
	return text.String()
}

// mirroredProviders lists the addresses that a mirror directory holds, host,
// namespace and type being its first three levels.
func mirroredProviders(dir string) []string {
	matches, _ := filepath.Glob(filepath.Join(dir, "*.*", "*", "*"))
	addresses := []string{}
	for _, match := range matches {
		if rel, err := filepath.Rel(dir, match); err == nil {
			addresses = append(addresses, filepath.ToSlash(rel))
		}
	}
	return addresses
}

func mirrorBlock(path string, include []string) string {
	return fmt.Sprintf("  filesystem_mirror {\n    path = %q\n    include = %s\n  }\n", path, quotedList(include))
}

func quotedList(values []string) string {
	slices.Sort(values)
	quoted := []string{}
	for _, value := range slices.Compact(values) {
		quoted = append(quoted, fmt.Sprintf("%q", value))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
