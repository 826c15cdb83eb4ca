package cli

import (
	"github.com/spf13/cobra"
)

// newAgent is the process inside a workspace. Entering workspaces is not part
// of this release: the agent keeps its place and waits to be stopped.
func newAgent(env *Env) *cobra.Command {
	var token, tokenFile, url, auth string
	cmd := &cobra.Command{
		Use:    "agent",
		Short:  "Run inside a workspace",
		Hidden: true,
		Args:   exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			env.errf("The agent waits until it is stopped.\n")
			<-cmd.Context().Done()
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&token, "agent-token", "", "Token of the agent")
	f.StringVar(&tokenFile, "agent-token-file", "", "File with the token of the agent")
	f.StringVar(&url, "agent-url", "", "URL of the deployment")
	auth = "token"
	f.Var(&choiceValue{into: &auth, valid: []string{"token", "google-instance-identity", "aws-instance-identity", "azure-instance-identity"}}, "auth", "How the agent proves what it is")
	fromEnv(f, "agent-token", "CODER_AGENT_TOKEN")
	fromEnv(f, "agent-token-file", "CODER_AGENT_TOKEN_FILE")
	fromEnv(f, "agent-url", "CODER_AGENT_URL")
	fromEnv(f, "auth", "CODER_AGENT_AUTH")
	return cmd
}
