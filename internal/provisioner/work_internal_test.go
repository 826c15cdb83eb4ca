package provisioner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/terraform"
)

// What a provider was making that died may exist, though the engine calls the
// creation failed; what a provider itself says that failed does not.
func TestWhatADeadProviderWasMakingIsInDoubt(t *testing.T) {
	t.Parallel()
	const hook = `{"@level":"info","@message":"a","type":"%s","hook":{"resource":{"addr":"chaos_object.a","resource_type":"chaos_object"},"action":"create"}}`
	const diagnostic = `{"@level":"error","@message":"Error: %[1]s","type":"diagnostic","diagnostic":{"severity":"error","summary":"%[1]s","detail":"%[2]s"}}`
	for name, c := range map[string]struct {
		summary, detail string
		doubtful        int
	}{
		"no answer":         {"Plugin did not respond", "The plugin encountered an error, and failed to respond to the plugin6.(*GRPCProvider).ApplyResourceChange call.", 1},
		"a cut request":     {"Request cancelled", "The plugin.(*GRPCProvider).ApplyResourceChange request was cancelled.", 1},
		"a broken answer":   {"Plugin error", "The plugin returned an unexpected error from plugin6.(*GRPCProvider).ApplyResourceChange: rpc error", 1},
		"the provider's no": {"the volume is too small", "Ask for 10 GiB at least.", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, none := newEngineWork(), &terraform.State{}
			for _, line := range []string{
				fmt.Sprintf(hook, "apply_start"), fmt.Sprintf(hook, "apply_errored"), fmt.Sprintf(diagnostic, c.summary, c.detail),
			} {
				w.note(terraform.ParseEvent([]byte(line)))
			}
			require.Len(t, w.doubtful(none, none), c.doubtful)
		})
	}
}
