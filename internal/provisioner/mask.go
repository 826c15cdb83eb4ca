package provisioner

import (
	"encoding/json"
	"strings"

	"coder/client"
	"coder/internal/terraform"
)

// maskedText stands for a secret, as in Terraform's own output.
const maskedText = "(sensitive value)"

// shortestMasked: to hide shorter texts would make a log unreadable.
const shortestMasked = 8

// newMask hides in a job's log and errors what the job brings along and knows
// to be secret. The engine does so too, but neither in its debug log nor in
// what other programs print.
func newMask(job client.AcquiredJob) *strings.Replacer {
	secrets := []string{job.Secret, job.Metadata.OwnerSessionToken, job.Metadata.OwnerOIDCAccessToken, job.Metadata.OwnerSSHPrivateKey}
	for _, v := range job.Variables {
		if v.Sensitive {
			secrets = append(secrets, v.Value)
		}
	}
	for _, token := range job.ExternalAuth {
		secrets = append(secrets, token.AccessToken)
	}
	secrets = append(secrets, terraform.SensitiveValues(job.State)...)
	var pairs []string
	for _, secret := range secrets {
		for _, part := range append(strings.Split(secret, "\n"), secret) {
			if part = strings.TrimSpace(part); len(part) >= shortestMasked && !strings.HasPrefix(part, "-----") {
				pairs = append(pairs, part, maskedText)
				if quoted, err := json.Marshal(part); err == nil && len(quoted) != len(part)+2 {
					pairs = append(pairs, string(quoted[1:len(quoted)-1]), maskedText)
				}
			}
		}
	}
	return strings.NewReplacer(pairs...)
}
