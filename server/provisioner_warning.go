package server

import (
	"fmt"
	"strconv"
	"strings"

	"coder/client"
	"coder/internal/provisioner"
	"coder/store"
)

// daemonWarnings are what somebody should look after: in the list of daemons
// and in the health report. The organization is the name of the daemon's.
func (a *api) daemonWarnings(d store.ProvisionerDaemon, organization string) []client.ProvisionerWarning {
	out := []client.ProvisionerWarning{}
	warn := func(code, format string, args ...any) {
		out = append(out, client.ProvisionerWarning{Code: code, Message: "The provisioner " + d.Name + " " + fmt.Sprintf(format, args...)})
	}
	if majorMinor(d.Version) != majorMinor(a.version) {
		warn(client.WarningVersion, "runs %s, and the server %s: install the same release on its host.", d.Version, a.version)
	}
	if isOlderAPI(d.ApiVersion, provisioner.APIVersion) {
		warn(client.WarningAPIVersion, "speaks version %s of the job protocol, and the server %s: install the server's release on its host.", d.ApiVersion, provisioner.APIVersion)
	}
	if !d.DrainedAt.IsZero() {
		warn(client.WarningDraining, "is drained since %s and takes no new job: resume it with: coder provisioner resume %s --org %s", showTime(d.DrainedAt), d.Name, organization)
		out[len(out)-1].Since = &d.DrainedAt.Time
	}
	if d.Trouble != "" {
		warn(client.WarningTrouble, "takes no job now: %s.", d.Trouble)
	}
	if d.StoppedAt.IsZero() && !a.isOnline(d.LastSeenAt, d.StoppedAt) {
		warn(client.WarningNotSeen, "was last seen at %s and did not leave in an orderly way: look after its host, or start it again.", showTime(d.LastSeenAt))
		out[len(out)-1].Since = &d.LastSeenAt.Time
	}
	return out
}

// isOlderAPI compares versions of the form major.minor; what is no version is old.
func isOlderAPI(daemon, server string) bool {
	theirMajor, theirMinor, ok := apiVersion(daemon)
	major, minor, _ := apiVersion(server)
	return !ok || theirMajor < major || (theirMajor == major && theirMinor < minor)
}

func apiVersion(text string) (major, minor int, ok bool) {
	first, second, _ := strings.Cut(text, ".")
	major, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(second)
	return major, minor, err == nil
}
