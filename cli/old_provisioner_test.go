package cli_test

import (
	"context"
	"net/http"

	"github.com/rogpeppe/go-internal/testscript"

	"coder/client"
)

// oldProvisioner is the command `old-provisioner name version api-version`: it
// registers as a provisioner of another release does.
func oldProvisioner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: old-provisioner name version api-version")
	}
	c, err := client.New(ts.Getenv("URL"), client.Options{Header: http.Header{client.HeaderDaemonKey: {ts.Getenv("CODER_PROVISIONER_DAEMON_KEY")}}})
	ts.Check(err)
	_, err = c.RegisterDaemon(context.Background(), client.RegisterDaemonRequest{
		Name: args[0], Version: args[1], APIVersion: args[2], Provisioners: []string{client.ProvisionerTerraform}, HostID: args[0],
	})
	ts.Check(err)
}
