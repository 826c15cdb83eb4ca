package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// host is a daemon with a spool and a link to the server of its own.
type host struct {
	name   string
	spool  string
	daemon *service
	proxy  *proxy
	// mounted: the spool has a file system of its own.
	mounted bool
}

// newHost starts a daemon. With an error it returns what is to be closed.
func (l *lane) newHost(ctx context.Context, number int, key, config string, mounts bool) (*host, error) {
	name := fmt.Sprintf("lane%d-host%d", l.number, number)
	h := &host{name: name, spool: filepath.Join(l.dir, fmt.Sprintf("host%d", number), "spool")}
	if err := os.MkdirAll(h.spool, 0o700); err != nil {
		return nil, err
	}
	if mounts {
		if err := mountSmall(h.spool, spoolSize); err != nil {
			return nil, err
		}
		h.mounted = true
	}
	var err error
	if h.proxy, err = newProxy(ctx, l.address); err != nil {
		return h, err
	}
	h.daemon = &service{
		name: "provisioner of " + name, binary: l.opts.Binary, log: filepath.Join(l.deployment.dir, "logs", name+".log"),
		args: []string{"provisioner", "start", "--verbose", "--name", name, "--cache-dir", filepath.Join(l.dir, "cache"), "--spool-dir", h.spool},
		env:  environment("CODER_URL="+h.proxy.url(), "CODER_PROVISIONER_DAEMON_KEY="+key, "TF_CLI_CONFIG_FILE="+config, clockVariable+"="+h.clock()),
	}
	return h, h.daemon.start(nil)
}

// attempts that the host has not handed in.
func (h *host) attempts() ([]os.DirEntry, error) {
	found, err := os.ReadDir(filepath.Join(h.spool, "attempts"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // its daemon has not come so far yet
	}
	return found, err
}

func (h *host) close(ctx context.Context) (err error) {
	if h.daemon != nil {
		err = h.daemon.kill()
	}
	err = errors.Join(err, killAll(ctx, h.spool))
	if h.proxy != nil {
		h.proxy.close()
	}
	if h.mounted {
		err = errors.Join(err, saveTree(h.spool), unmount(h.spool))
	}
	return err
}
