package provisioner

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

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

// A daemon that looks through the spool leaves alone what another one is
// recording, and removes what was cut off.
func TestAFolderThatIsBeingMadeIsLeftAlone(t *testing.T) {
	s, err := openSpool(t.TempDir())
	require.NoError(t, err)
	f := &folder{dir: filepath.Join(s.dir, "attempts", "a")}
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	look := func() {
		a, err := (&Daemon{spool: s}).adopt(t.Context(), f)
		require.NoError(t, err)
		require.Nil(t, a)
	}
	look()
	require.DirExists(t, f.dir)
	earlier := time.Now().Add(-2 * recordTime)
	require.NoError(t, os.Chtimes(f.dir, earlier, earlier))
	look()
	require.NoDirExists(t, f.dir)
}
