package cli

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// apiLevel is the level of the v2 API that we speak; clients compare it.
const apiLevel = "v2.34.0"

// release is our own version; the linker sets it, and nothing else does.
var release = "0.1.0"

// Version is what client, server and provisioner report: the level of the API
// with our release as build metadata.
func Version() string { return apiLevel + "+" + release }

// sameRelease compares what both sides of a connection must share.
func sameRelease(a, b string) bool { return releaseOf(a) == releaseOf(b) }

// releaseOf is the API level and our release, without build hashes.
func releaseOf(version string) string {
	version = strings.TrimPrefix(version, "v")
	version, _, _ = strings.Cut(version, "-")
	return version
}

type versionInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	BuildTime string `json:"build_time"`
	GoVersion string `json:"go_version"`
	Platform  string `json:"platform"`
}

func readVersion() versionInfo {
	v := versionInfo{Version: Version(), GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.BuildTime = s.Value
		}
	}
	return v
}

type versionOptions struct {
	env    *Env
	format string
}

func newVersion(env *Env) *cobra.Command {
	o := &versionOptions{env: env}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show what this binary is",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *versionOptions) run(context.Context) error {
	v := readVersion()
	if o.format == "json" {
		return o.env.printJSON(v)
	}
	o.env.outf("Coder %s\n%s, %s\n", v.Version, v.Platform, v.GoVersion)
	if v.Revision != "" {
		o.env.outf("Built of %s at %s\n", v.Revision, v.BuildTime)
	}
	o.env.outf("Full build: server, provisioner and command line in one binary\n")
	return nil
}
