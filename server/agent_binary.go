package server

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"

	"coder/internal/agentscript"
)

// initScript sends the script that makes a machine a workspace, ready to run.
func (a *api) initScript(w http.ResponseWriter, r *http.Request) {
	script := agentscript.Script(r.PathValue("os"), r.PathValue("arch"))
	if script == "" {
		e := errNotFound()
		e.Message, e.Detail = "There are no agents for this platform.", "There are for "+platformList()+"."
		writeJSON(w, e.StatusCode, e)
		return
	}
	root := strings.TrimSuffix(a.accessURL.String(), "/") + "/"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = strings.NewReplacer(agentscript.AccessURL, root, agentscript.AuthType, "token").WriteString(w, script) // the client is gone; nobody is left to tell
}

func platformList() string {
	var names []string
	for _, p := range agentscript.Platforms() {
		names = append(names, p.OS+"/"+p.Arch)
	}
	return strings.Join(names, ", ")
}

// ownPlatform is the one that this binary was built for.
func ownPlatform() agentscript.Platform {
	arch := runtime.GOARCH
	if arch == "arm" {
		arch = "armv7"
	}
	return agentscript.Platform{OS: runtime.GOOS, Arch: arch}
}

// agentBinary sends this very binary to machines of its own platform.
func (a *api) agentBinary(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if own := ownPlatform(); name != own.Binary() {
		http.Error(w, fmt.Sprintf("This server has no file %q: it offers the binary of its own platform only, /bin/%s. Run the server on the platform of your workspaces, or put the binary into their image.", name, own.Binary()), http.StatusNotFound)
		return
	}
	path, err := os.Executable()
	if err != nil {
		a.writeError(r.Context(), w, fmt.Errorf("find the own binary: %w", err))
		return
	}
	file, err := os.Open(path)
	if err != nil {
		a.writeError(r.Context(), w, fmt.Errorf("read the own binary: %w", err))
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		a.writeError(r.Context(), w, fmt.Errorf("read the own binary: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, name, info.ModTime(), file)
}
