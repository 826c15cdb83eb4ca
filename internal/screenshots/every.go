package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"coder/internal/browser"
)

// crowd adds what is hard to lay out: long names, a build that failed, a
// template that nobody can import, an organization that is empty.
func (s *stage) crowd() {
	long := strings.Repeat("very-", 5) + "long"
	s.coder("organizations", "create", long)
	s.coder("users", "create", "--username", long, "--email", long+"@"+long+".example.com", "--full-name", strings.Repeat("Wolfeschlegelsteinhausen", 3), "--password", password, "--org", "data-platform")
	s.coder("groups", "create", "backend", "--org", "data-platform", "--quota-allowance", "20")
	s.coder("tokens", "create", "--name", "ci")
	source := filepath.Join(s.dir, "broken")
	if s.err == nil {
		s.err = os.MkdirAll(source, 0o700)
	}
	if s.err == nil {
		s.err = os.WriteFile(filepath.Join(source, "main.tf"), []byte(breaks), 0o600)
	}
	s.coder("templates", "push", long, "--org", "data-platform", "--directory", source, "--yes")
	if s.err == nil {
		s.coder("create", long, "--template", long, "--org", "data-platform", "--yes")
		s.err = nil // it fails, which is what is looked at
	}
}

// breaks is a template whose builds end with an error.
const breaks = `
resource "terraform_data" "a_resource_with_a_name_that_goes_on_and_on" {
  provisioner "local-exec" {
    command = "echo ` + "a-line-without-spaces-that-is-longer-than-any-phone-is-wide-a-line-without-spaces-that-is-longer-than-any-phone-is-wide" + `; exit 1"
  }
}
`

// looks are how every page is looked at.
var looks = []struct {
	name  string
	width int64
	dark  bool
}{{"wide", 1280, false}, {"dark", 1280, true}, {"phone", 375, false}, {"phone-dark", 375, true}, {"4k", 3840, false}}

// shootEvery takes pictures of all kinds of pages, and says what is wrong.
func (s *stage) shootEvery(out string) error {
	b, err := s.signedIn()
	if err != nil {
		return err
	}
	defer b.Close()
	for _, look := range looks {
		if err := b.Look(look.width, look.dark); err != nil {
			return err
		}
		dir := filepath.Join(out, look.name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		n := 0
		err := b.Every([]string{"/workspaces?q=", "/@ada/api-server", "/organizations/data-platform/members", "/templates/data-platform/minimal"}, func(path string) error {
			n++
			return seen(b, filepath.Join(dir, fmt.Sprintf("%02d-%s.png", n, strings.NewReplacer("/", "_", "?", "_", "&", "_").Replace(path))), look.name+" "+path)
		})
		if err != nil {
			return err
		}
		fmt.Println(look.name, n, "pages")
	}
	return nil
}

func seen(b *browser.Browser, file, name string) error {
	wrongs, err := b.Wrongs()
	if err != nil {
		return err
	}
	for _, wrong := range append(wrongs, b.Troubles()...) {
		fmt.Println(name+":", wrong)
	}
	png, err := b.Picture()
	if err != nil {
		return err
	}
	return os.WriteFile(file, png, 0o644)
}
