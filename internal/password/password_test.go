package password_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/password"
)

func TestAHashMatchesItsPasswordOnly(t *testing.T) {
	t.Parallel()
	h := password.NewHasher()
	hash, err := h.Hash(t.Context(), "SomeSecurePassword!")
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, hash)
	for plain, want := range map[string]bool{"SomeSecurePassword!": true, "somesecurepassword!": false, "": false} {
		got, err := h.Verify(t.Context(), hash, plain)
		require.NoError(t, err)
		require.Equal(t, want, got, "password %q", plain)
	}
	again, err := h.Hash(t.Context(), "SomeSecurePassword!")
	require.NoError(t, err)
	require.NotEqual(t, hash, again, "every hash has its own salt")
}

// The vector is one of the argon2 reference implementation's: "password" with
// "somesalt", two passes over 64 MiB.
func TestAHashOfAnotherProgramIsRead(t *testing.T) {
	t.Parallel()
	ok, err := password.NewHasher().Verify(t.Context(), "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password")
	require.NoError(t, err)
	require.True(t, ok)
}

func TestAnUnreadableHashMatchesNothing(t *testing.T) {
	t.Parallel()
	h := password.NewHasher()
	for _, hash := range []string{
		"", "x", "$argon2id$v=19$m=19456,t=2,p=1$$", "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		ok, err := h.Verify(t.Context(), hash, "password")
		require.NoError(t, err)
		require.False(t, ok, "hash %q", hash)
	}
}

func TestWeakAndOverlongPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{"", "password", "12345678", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		require.ErrorContains(t, password.Check(plain), "easy to guess", "password %q", plain)
	}
	require.ErrorContains(t, password.Check(strings.Repeat("aB3$", 17)), "longer than 64")
	require.NoError(t, password.Check("SomeSecurePassword!"))
	require.NoError(t, password.Check("Grüße aus Köln, 4711!"))
}
