// Coder gives every platform team of a company its own organization in one
// deployment: the control plane, the provisioner daemon and the command line.
package main

import (
	"os"

	"coder/cli"
	"coder/internal/coderprovider"
	_ "coder/internal/supervisor" // takes over before main when it is told to supervise an engine
)

func main() {
	if coderprovider.IsProvider(os.Args[0]) {
		coderprovider.Serve()
		return
	}
	os.Exit(cli.Main(os.Args[1:], cli.OSEnv()))
}
