// Package coderprovider is the coder/coder Terraform provider, linked into
// this binary and served when the binary runs under the provider's file name.
package coderprovider

import (
	"path/filepath"
	"strings"

	"github.com/coder/terraform-provider-coder/v2/provider"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
)

// Version of the linked provider, as constraints and lock files write it. It
// is a constant, not read from the build information, because vendored
// builds, builds with other tools and test binaries carry none; a test
// compares it with the module that is really linked.
const Version = "2.19.0"

// Type is the provider's last address part, as in registry.terraform.io/coder/coder.
const Type = "coder"

// FileName is what the binary must be called in a mirror, for Terraform to
// find it and for IsProvider to know it.
const FileName = "terraform-provider-" + Type + "_v" + Version

// IsProvider tells whether a process started as argv0 is to be the provider.
func IsProvider(argv0 string) bool {
	return strings.HasPrefix(filepath.Base(argv0), "terraform-provider-"+Type)
}

// Serve answers Terraform or OpenTofu until it hangs up. Started by hand, it
// prints that it is a plugin and exits with status 1.
func Serve() {
	plugin.Serve(&plugin.ServeOpts{
		ProviderAddr: "registry.terraform.io/coder/" + Type,
		ProviderFunc: provider.New,
	})
}
