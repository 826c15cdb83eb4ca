package provisioner

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// Daemons of one process, or of a host that has just started, open a new spool
// at the same moment.
func TestASpoolHasOneName(t *testing.T) {
	for i := range 20 {
		dir := filepath.Join(t.TempDir(), strconv.Itoa(i))
		spools := make([]*spool, 8)
		group := &errgroup.Group{}
		for n := range spools {
			group.Go(func() (err error) {
				spools[n], err = openSpool(dir)
				return err
			})
		}
		require.NoError(t, group.Wait())
		for _, s := range spools {
			require.Equal(t, spools[0].hostID, s.hostID)
			require.False(t, s.gone())
		}
	}
}
