package store_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/seal"
	"coder/store"
	"coder/store/storetest"
)

func TestReadersNeitherWaitNorSeeHalf(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		require.NoError(t, s.PutSetting(ctx, store.PutSettingParams{Name: "a", Value: "before"}))
		require.NoError(t, s.InTx(ctx, func(tx *store.Store) error {
			require.NoError(t, tx.PutSetting(ctx, store.PutSettingParams{Name: "a", Value: "after"}))
			own, err := tx.GetSetting(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, "after", own)
			start := time.Now()
			others, err := s.GetSetting(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, "before", others)
			require.Less(t, time.Since(start), 5*time.Second, "reading must not wait for the writer")
			return nil
		}))
		got, err := s.GetSetting(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, "after", got, "what was committed is there for the next read")
	})
}

func TestEveryConnectionKeepsThePromises(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		for _, pool := range []string{"writer", "reader"} {
			for i, got := range s.Pragma(t.Context(), pool, pragma) {
				require.Equal(t, want, got, "%s of %s %d", pragma, pool, i)
			}
		}
	}
	for _, got := range s.Pragma(t.Context(), "reader", "query_only") {
		require.Equal(t, "1", got)
	}
}

// The log of a big state must not stay on the disk for ever.
func TestLogShrinksAgain(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	s := storetest.Open(t, o)
	f := seedOrganization(t, s, "a")
	for i := range 2 {
		_, err := s.InsertFile(t.Context(), store.InsertFileParams{ID: f.job(t).ID, CreatedBy: f.user.ID, Hash: fmt.Sprint(i), Mimetype: "x", Data: make([]byte, 12<<20), CreatedAt: now})
		require.NoError(t, err)
	}
	for i := range 5 { // the first write folds the log in, the next begins it anew
		require.NoError(t, s.PutSetting(t.Context(), store.PutSettingParams{Name: "a", Value: fmt.Sprint(i)}))
	}
	info, err := os.Stat(filepath.Join(o.Dir, "coder.db-wal"))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(16<<20))
}

const crashDir = "CODER_TEST_CRASH_DIR"

// TestKilledServerKeepsWhatItAnswered kills a process that writes and counts
// what it had said was stored.
func TestKilledServerKeepsWhatItAnswered(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeForEver(t, dir)
	}
	o := storetest.SQLiteOptions(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledServerKeepsWhatItAnswered$")
	cmd.Env = append(os.Environ(), crashDir+"="+o.Dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	answered := lastNumber(out, 50, func() { require.NoError(t, cmd.Process.Kill()) })
	require.Error(t, cmd.Wait())

	s := storetest.Open(t, o)
	require.GreaterOrEqual(t, answered, 50)
	for i := range answered + 1 {
		got, err := s.GetSetting(t.Context(), fmt.Sprint("n", i))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(i), got)
	}
	require.Equal(t, []string{"ok"}, s.Pragma(t.Context(), "writer", "integrity_check"))
}

func writeForEver(t *testing.T, dir string) {
	s, err := store.Open(t.Context(), store.Options{Dir: dir, DeploymentKeys: []seal.Key{storetest.Key()}})
	require.NoError(t, err)
	for i := 0; ; i++ {
		require.NoError(t, s.InTx(t.Context(), func(tx *store.Store) error {
			return tx.PutSetting(t.Context(), store.PutSettingParams{Name: fmt.Sprint("n", i), Value: strconv.Itoa(i)})
		}))
		fmt.Println(i)
	}
}

// lastNumber reads lines of numbers, calls enough at one of them, and gives
// the last that came.
func lastNumber(r io.Reader, at int, enough func()) (last int) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		n, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil {
			continue
		}
		last = n
		if n == at {
			enough()
		}
	}
	return last
}
