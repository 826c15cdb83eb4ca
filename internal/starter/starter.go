// Package starter holds the templates that a new user starts from.
package starter

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"coder/client"
	"coder/internal/archive"
	"coder/internal/template"
)

//go:embed templates
var templates embed.FS

// List describes the starter templates, sorted by id.
func List() ([]client.TemplateExample, error) {
	entries, err := templates.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("list starter templates: %w", err)
	}
	examples := make([]client.TemplateExample, 0, len(entries))
	for _, e := range entries {
		example, err := Get(e.Name())
		if err != nil {
			return nil, err
		}
		examples = append(examples, example)
	}
	return examples, nil
}

// IDs are the ids of the starter templates, sorted.
func IDs() []string {
	entries, _ := templates.ReadDir("templates") // it is embedded, so it is there
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.Name()
	}
	return ids
}

// Get describes one starter template. The error for an unknown id names those
// there are and wraps fs.ErrNotExist.
func Get(id string) (client.TemplateExample, error) {
	source, err := files(id)
	if err != nil {
		return client.TemplateExample{}, err
	}
	readme, err := fs.ReadFile(source, "README.md")
	if err != nil {
		return client.TemplateExample{}, fmt.Errorf("starter template %s: %w", id, err)
	}
	matter, text, err := template.ParseReadme(string(readme))
	if err != nil {
		return client.TemplateExample{}, fmt.Errorf("starter template %s: %w", id, err)
	}
	return client.TemplateExample{
		ID: id, Name: matter.DisplayName, Description: matter.Description,
		Icon: matter.Icon, Tags: matter.Tags, Markdown: text,
	}, nil
}

func files(id string) (fs.FS, error) {
	path := "templates/" + id
	info, err := fs.Stat(templates, path)
	if strings.Contains(id, "/") || err != nil || !info.IsDir() {
		return nil, fmt.Errorf("there is no starter template %q; choose one of %s: %w", id, strings.Join(IDs(), ", "), fs.ErrNotExist)
	}
	return fs.Sub(templates, path)
}

// Write copies a starter template's files into dir, which it makes where it is
// missing. Files that are there already are left alone, and the error names
// the first.
func Write(id, dir string) error {
	source, err := files(id)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(source, ".")
	if err != nil {
		return fmt.Errorf("starter template %s: %w", id, err)
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); exists(path) {
			return fmt.Errorf("%s is there already; choose an empty directory", path)
		}
	}
	if err := os.CopyFS(dir, source); err != nil {
		return fmt.Errorf("write starter template %s: %w", id, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Tar is a starter template as a client would push it.
func Tar(id string) ([]byte, error) {
	source, err := files(id)
	if err != nil {
		return nil, err
	}
	return archive.TarFS(source, archive.Options{MaxBytes: archive.MaxTemplate})
}
