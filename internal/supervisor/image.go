package supervisor

import (
	"os"
	"runtime"
)

// OwnImage names the binary that is running, even after an upgrade has put
// another file in its place.
func OwnImage() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}
