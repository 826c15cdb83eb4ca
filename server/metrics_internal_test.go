package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Anybody may send a method of their own making: it is no time series.
func TestMadeUpMethodsShareALabel(t *testing.T) {
	t.Parallel()
	require.Equal(t, http.MethodPatch, methodLabel(http.MethodPatch))
	require.Equal(t, "other", methodLabel("ATTACK"))
	require.Equal(t, "other", methodLabel("get"))
}
