package server_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/isolation"
	"coder/server/servertest"
)

// TestIsolation is the proof that organizations do not see each other: every
// operation, every role. A new operation fails it until it has a rule.
func TestIsolation(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	report, err := isolation.Run(t.Context(), isolation.Options{URL: s.URL, Token: s.Token, Progress: func(text string) { t.Log(text) }})
	if report != nil {
		for _, leak := range report.Leaks {
			t.Errorf("%s as %s leaks:\n  %s\n  answers      %s\n  and nowhere  %s", leak.Operation, leak.Caller, leak.Call, leak.Got, leak.Want)
		}
		for _, unproven := range report.Unproven {
			t.Errorf("unproven: %s", unproven)
		}
		t.Logf("%d operations, %d answers compared", report.Operations, report.Compared)
	}
	require.NoError(t, err)
}
