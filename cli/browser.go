package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// openBrowser starts the person's browser and does not wait for it.
func openBrowser(url string) error {
	name := os.Getenv("BROWSER")
	if name == "" {
		name = map[string]string{"linux": "xdg-open", "darwin": "open", "windows": "explorer"}[runtime.GOOS]
	}
	if name == "" {
		return errors.New("no browser is known for this system")
	}
	cmd := exec.CommandContext(context.Background(), name, url) // it outlives the command
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // only so that no dead child remains
	return nil
}
