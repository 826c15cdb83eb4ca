package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"coder/client"
)

// joinAgainAfter is how long a provisioner waits for a server that is not there.
const joinAgainAfter = 3 * time.Second

// joinedKey trades the join token for a key, which this host keeps: started
// again with the same token, the provisioner has it already.
func (o *provisionerStartOptions) joinedKey(ctx context.Context, logger *slog.Logger) (string, error) {
	key, err := o.keptKey()
	if err != nil {
		return "", fmt.Errorf("keep the key for the join token: %w", err)
	}
	deployment, err := o.env.deploymentURL()
	if err != nil {
		return "", err
	}
	c, err := o.env.clientFor(deployment, "", http.Header{})
	if err != nil {
		return "", err
	}
	for {
		_, err := c.JoinProvisioner(ctx, client.JoinProvisionerRequest{JoinToken: o.joinToken, Key: key})
		switch {
		case err == nil:
			return key, nil
		case !isAway(err):
			return "", fmt.Errorf("join with the token: %w", err)
		}
		logger.Warn("the server cannot be reached yet", "error", err)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(joinAgainAfter):
		}
	}
}

// keptKey reads the key that belongs to the join token, or makes it up. It is
// on disk before the server hears of it: a token is good only once.
func (o *provisionerStartOptions) keptKey() (string, error) {
	sum := sha256.Sum256([]byte(o.joinToken))
	path := filepath.Join(o.spoolDir, "joined-"+hex.EncodeToString(sum[:8]))
	kept, err := os.ReadFile(path)
	if err == nil && len(kept) == client.ProvisionerKeyLength {
		return string(kept), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	key := (rand.Text() + rand.Text())[:client.ProvisionerKeyLength]
	if err := os.MkdirAll(o.spoolDir, 0o700); err != nil {
		return "", err
	}
	return key, writeFile(path, []byte(key), 0o600)
}
