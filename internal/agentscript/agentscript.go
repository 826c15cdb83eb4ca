// Package agentscript has the scripts that a new machine runs to become a
// workspace: they fetch the binary from the deployment and run its agent.
package agentscript

import (
	_ "embed"
	"slices"
	"strings"
)

// Placeholders that are replaced before a script runs: the deployment's URL
// with a slash at the end, and how the agent shows who it is.
const (
	AccessURL = "${ACCESS_URL}"
	AuthType  = "${AUTH_TYPE}"
)

//go:embed agent.sh
var shell string

//go:embed agent.ps1
var powerShell string

// Platform is one for which agents are built.
type Platform struct{ OS, Arch string }

// Platforms lists all of them.
func Platforms() []Platform {
	return []Platform{
		{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}, {"linux", "armv7"}, {"windows", "amd64"}, {"windows", "arm64"},
	}
}

// Binary is the file name of a platform's binary below /bin.
func (p Platform) Binary() string {
	name := "coder-" + p.OS + "-" + p.Arch
	if p.OS == "windows" {
		name += ".exe"
	}
	return name
}

// Script returns a platform's script with the placeholders in it, or "" for a
// platform without agents.
func Script(os, arch string) string {
	p := Platform{os, arch}
	if !slices.Contains(Platforms(), p) {
		return ""
	}
	text := shell
	if os == "windows" {
		text = powerShell
	}
	return strings.ReplaceAll(text, "@BINARY@", p.Binary())
}
