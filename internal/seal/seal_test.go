package seal_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"coder/internal/seal"
)

func TestSealOpensForTheSameKeyAndPurpose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := seal.Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		purpose := rapid.String().Draw(t, "purpose")
		sealed, err := key.Seal(plain, purpose)
		require.NoError(t, err)
		got, err := key.Open(sealed, purpose)
		require.NoError(t, err)
		require.Equal(t, string(plain), string(got))
	})
}

func TestSealedTwiceDiffers(t *testing.T) {
	key := newKey(t)
	a, err := key.Seal([]byte("same"), "p")
	require.NoError(t, err)
	b, err := key.Seal([]byte("same"), "p")
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestOpenRefusesWhatItDidNotSeal(t *testing.T) {
	key := newKey(t)
	sealed, err := key.Seal([]byte("terraform state"), "state")
	require.NoError(t, err)
	_, err = newKey(t).Open(sealed, "state")
	require.ErrorIs(t, err, seal.ErrOpen, "another key")
	_, err = key.Open(sealed, "variable")
	require.ErrorIs(t, err, seal.ErrOpen, "another purpose")
	for i := range sealed {
		cut, changed := sealed[:i], append([]byte(nil), sealed...)
		changed[i] ^= 1
		for _, broken := range [][]byte{cut, changed} {
			_, err := key.Open(broken, "state")
			require.ErrorIs(t, err, seal.ErrOpen, "byte %d", i)
		}
	}
}

func TestLoadOrCreateKeepsItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deployment.key")
	made, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	read, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	require.Equal(t, made, read)

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	parsed, err := seal.ParseKey(string(text))
	require.NoError(t, err)
	require.Equal(t, made, []seal.Key{parsed})
}

func TestLoadOrCreateNeverReplacesAKey(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": strings.Repeat("a", 63), "no hex": strings.Repeat("x", 64)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "deployment.key")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := seal.LoadOrCreate(path)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "64 hexadecimal digits")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, text, string(after))
		})
	}
}

func TestLoadOrCreateHasOneWinner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deployment.key")
	keys := make(chan []seal.Key, 20)
	var g errgroup.Group
	for range cap(keys) {
		g.Go(func() error {
			k, err := seal.LoadOrCreate(path)
			keys <- k
			return err
		})
	}
	require.NoError(t, g.Wait())
	first := <-keys
	for range cap(keys) - 1 {
		require.Equal(t, first, <-keys)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestLoadOrCreateSaysWhyItCannot(t *testing.T) {
	_, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "missing", "deployment.key"))
	require.ErrorContains(t, err, "write the deployment key")
}

func newKey(t *testing.T) seal.Key {
	t.Helper()
	k, err := seal.NewKey()
	require.NoError(t, err)
	return k
}

func TestParseKeys(t *testing.T) {
	a, b := newKey(t), newKey(t)
	x, y := hex.EncodeToString(a[:]), hex.EncodeToString(b[:])
	for name, text := range map[string]string{
		"commas": x + "," + y, "lines": x + "\n" + y + "\n", "remarks": "# newest first\n\n " + x + "\r\n#\n" + y, "twice": x + "," + y + "," + x,
	} {
		keys, err := seal.ParseKeys(text)
		require.NoError(t, err, name)
		require.Equal(t, []seal.Key{a, b}, keys, name)
	}
	for _, text := range []string{"", "# only a remark", x + ",", x + y, x + " " + y, x + ",abc"} {
		_, err := seal.ParseKeys(text)
		require.ErrorContains(t, err, "64 hexadecimal digits", "%q", text)
		require.NotContains(t, err.Error(), x)
	}
}

func TestKeysHaveNamesThatDoNotTellThem(t *testing.T) {
	a, b := newKey(t), newKey(t)
	require.Regexp(t, "^[0-9a-f]{12}$", a.ID())
	require.Equal(t, a.ID(), a.ID())
	require.NotEqual(t, a.ID(), b.ID())
	require.NotContains(t, hex.EncodeToString(a[:]), a.ID())
}

func TestAddToFileKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deployment.key")
	_, err := seal.AddToFile(path)
	require.ErrorContains(t, err, "read the deployment key", "there is nothing to add to")
	first, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	second, err := seal.AddToFile(path)
	require.NoError(t, err)
	third, err := seal.AddToFile(path)
	require.NoError(t, err)
	keys, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	require.Equal(t, []seal.Key{third, second, first[0]}, keys, "newest first")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}
