package template

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// FrontMatter is what a template's README may say about the template, in YAML
// between two lines of three dashes at its top.
type FrontMatter struct {
	DisplayName string   `yaml:"display_name"`
	Description string   `yaml:"description"`
	Icon        string   `yaml:"icon"`
	Tags        []string `yaml:"tags"`
}

// ParseReadme splits a README into its front matter and the text below. A
// README without front matter is all text.
func ParseReadme(readme string) (FrontMatter, string, error) {
	readme = strings.ReplaceAll(readme, "\r\n", "\n")
	head, ok := strings.CutPrefix(readme, "---\n")
	if !ok {
		return FrontMatter{}, readme, nil
	}
	head, body, ok := strings.Cut(head, "\n---\n")
	if !ok {
		return FrontMatter{}, readme, nil
	}
	var matter FrontMatter
	if err := yaml.Unmarshal([]byte(head), &matter); err != nil {
		return FrontMatter{}, readme, fmt.Errorf("front matter of README.md is no YAML map: %w", err)
	}
	return matter, strings.TrimLeft(body, "\n"), nil
}
