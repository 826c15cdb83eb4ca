package client

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NameKind is a kind of name with rules of its own.
type NameKind string

// The kinds of names that CheckName knows.
const (
	NameUsername        NameKind = "username"
	NameOrganization    NameKind = "organization name"
	NameTemplate        NameKind = "template name"
	NameWorkspace       NameKind = "workspace name"
	NameRole            NameKind = "role name"
	NameGroup           NameKind = "group name"
	NameTemplateVersion NameKind = "template version name"
	NameProvisionerKey  NameKind = "provisioner key name"
	NameDaemon          NameKind = "provisioner name"
	NameToken           NameKind = "token name"
	NameDisplay         NameKind = "display name"
	NameReal            NameKind = "full name"
)

// NameError says which rule a name breaks and what to do.
type NameError struct {
	Kind   NameKind
	Name   string
	Reason string
	Advice string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("the %s %q %s: %s", e.Kind, shorten(e.Name), e.Reason, e.Advice)
}

// nameRule is what one kind of name must keep to.
type nameRule struct {
	min, max int
	form     *regexp.Regexp
	advice   string
	reserved []string
}

const (
	hyphenForm  = `^[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*$`
	versionForm = `^[a-zA-Z0-9]+([_.-][a-zA-Z0-9]+)*$`
)

func ruleOf(kind NameKind) nameRule {
	hyphens := func(longest int, reserved ...string) nameRule {
		return nameRule{1, longest, regexp.MustCompile(hyphenForm),
			fmt.Sprintf("use 1 to %d letters and digits (a-z, A-Z, 0-9), with single hyphens between them", longest),
			append([]string{"new", "create"}, reserved...)}
	}
	switch kind {
	case NameUsername:
		return hyphens(32, "me")
	case NameOrganization:
		return hyphens(32, "default")
	case NameGroup:
		return hyphens(255)
	case NameDaemon:
		return nameRule{1, 64, regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`),
			"use 1 to 64 letters, digits and hyphens, with a letter or digit at both ends", nil}
	case NameTemplateVersion:
		return nameRule{1, 64, regexp.MustCompile(versionForm),
			"use 1 to 64 letters and digits, with a single hyphen, dot or underscore between them", nil}
	case NameProvisionerKey:
		return nameRule{1, 64, nil, "use 1 to 64 characters without control characters or outer blanks",
			[]string{"built-in", "user-auth", "psk"}}
	case NameToken:
		return nameRule{1, 64, nil, "use 1 to 64 characters without control characters or outer blanks", nil}
	case NameDisplay:
		return nameRule{0, 64, nil, "use up to 64 characters without control characters or outer blanks", nil}
	case NameReal:
		return nameRule{0, 128, nil, "use up to 128 characters without control characters or outer blanks", nil}
	default:
		return hyphens(32)
	}
}

// CheckName returns nil for a name that the API accepts, else a *NameError.
// The command line asks it before a request, the server for every request.
func CheckName(kind NameKind, name string) error {
	rule := ruleOf(kind)
	reason := ""
	length := utf8.RuneCountInString(name)
	switch {
	case length < rule.min:
		reason = "is empty"
	case length > rule.max:
		reason = fmt.Sprintf("is too long (%d characters)", length)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		reason = "has characters that cannot be shown"
	case name != strings.TrimSpace(name):
		reason = "begins or ends with a blank"
	case slices.Contains(rule.reserved, strings.ToLower(name)):
		return &NameError{Kind: kind, Name: name, Reason: "is reserved", Advice: "choose another one"}
	case (kind == NameProvisionerKey || kind == NameToken) && path.Clean("/"+name+"/x") != "/"+name+"/x":
		reason = "would be changed as a part of an address, by its dots or slashes"
	case rule.form != nil && !rule.form.MatchString(name):
		reason = malformed(name)
	}
	if reason == "" {
		return nil
	}
	return &NameError{Kind: kind, Name: name, Reason: reason, Advice: rule.advice}
}

// malformed says what a name that broke the form has in it.
func malformed(name string) string {
	for _, r := range name {
		plain := r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-')
		if !plain && r != '.' && r != '_' {
			return fmt.Sprintf("has the character %q in it", r)
		}
	}
	if strings.ContainsAny(name, "._") {
		return "has a dot or underscore in a place where none may be"
	}
	return "begins or ends with a hyphen or has two in a row"
}

func shorten(name string) string {
	const longest = 80
	if utf8.RuneCountInString(name) <= longest {
		return name
	}
	return string([]rune(name)[:longest]) + "…"
}
