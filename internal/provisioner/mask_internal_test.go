package provisioner

import (
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestMaskHidesWhatAJobBringsAlong(t *testing.T) {
	job := client.AcquiredJob{
		Secret: "secret-of-attempt", State: []byte(`{"outputs":{"x":{"value":"from-the-state","sensitive":true}}}`),
		Variables: []client.JobVariable{
			{Name: "a", Value: "open-value"}, {Name: "b", Value: "closed \"value\"", Sensitive: true}, {Name: "c", Value: "yes", Sensitive: true},
			{Name: "d", Value: "first long line\nsecond long line", Sensitive: true},
		},
	}
	job.Metadata.OwnerSSHPrivateKey = "-----BEGIN KEY-----\nabcdefghijklmnop\n-----END KEY-----\n"
	mask := newMask(job)
	for text, want := range map[string]string{
		"the secret-of-attempt!": "the (sensitive value)!", "from-the-state": "(sensitive value)", "open-value": "open-value",
		`closed "value"`: "(sensitive value)", `"closed \"value\""`: `"(sensitive value)"`, "yes": "yes", "x second long line y": "x (sensitive value) y",
		"abcdefghijklmnop": "(sensitive value)", "-----BEGIN KEY-----": "-----BEGIN KEY-----", "": "",
	} {
		require.Equal(t, want, mask.Replace(text), text)
	}
	require.Equal(t, "as it was", newMask(client.AcquiredJob{}).Replace("as it was"))
}
