package provisioner

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/terraform"
)

func TestAdvice(t *testing.T) {
	a := &attempt{
		daemon: &Daemon{opts: Options{Name: "host-1", SpoolDir: "/spool", CacheDir: "/cache"}},
		tools:  &tools{workshop: &terraform.Workshop{}}, work: newEngineWork(),
	}
	a.work.note(terraform.ParseEvent([]byte(`{"@message":"Finding matching versions for provider: acme/cloud, version_constraint: \">= 2.0.0\""}`)))

	for name, test := range map[string]struct{ message, advice string }{
		"Amazon":          {"configuring Terraform AWS Provider: no valid credential sources for Terraform AWS Provider found", "Jobs have the credentials"},
		"Amazon, refused": {"api error InvalidClientTokenId: The security token included in the request is invalid.", "Jobs have the credentials"},
		"Google":          {"Attempted to load application default credentials: google: could not find default credentials", "Jobs have the credentials"},
		"Azure":           {"building account: AADSTS7000215: Invalid client secret provided", "Jobs have the credentials"},
		"Kubernetes":      {"Post \"https://k8s/api/v1/pods\": Unauthorized", "Jobs have the credentials"},
		"a full disk":     {"write /tmp/x: no space left on device", `A disk of the provisioner "host-1" is full: make room on its host where /spool (jobs), /cache (cache)`},
		"a provider that is nowhere": {
			"Failed to query available provider packages: Could not retrieve the list of available versions for provider acme/cloud: no such host",
			`The template asks for the provider acme/cloud in a version ">= 2.0.0", and the provisioner "host-1" looks for providers in the registry that its address names.`,
		},
	} {
		got := a.advised(test.message)
		require.Contains(t, got, test.message+"\n", name)
		require.Contains(t, got, test.advice, name)
	}
	for _, own := range []string{
		"main.tf:2: Reference to undeclared resource", "Resource precondition failed: the region must be one of ours", "Error running command: exit status 3. Output: the cloud has no more disks",
	} {
		require.Equal(t, own, a.advised(own), "the template's own fault")
	}
}

func TestFullDiskIsExplained(t *testing.T) {
	d := &Daemon{opts: Options{Name: "host-1", SpoolDir: "/spool", CacheDir: "/cache"}}
	full := fmt.Errorf("record the job: %w", &os.PathError{Op: "write", Path: "job.json", Err: syscall.ENOSPC})
	require.ErrorIs(t, d.explained(full), syscall.ENOSPC)
	require.ErrorContains(t, d.explained(full), "coder provisioner cache clean")
	other := os.ErrPermission
	require.Equal(t, other, d.explained(other))
}
