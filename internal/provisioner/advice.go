package provisioner

import (
	"fmt"
	"regexp"
	"strings"

	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// What engines, providers and programs of templates say when the fault is of
// the provisioner's host, and not of the template.
var (
	missingProvider = regexp.MustCompile(`query available provider packages|resolve provider packages|install provider`)
	diskIsFull      = regexp.MustCompile(`(?i)no space left on device|disk quota exceeded|file too large`)
	badCredentials  = regexp.MustCompile(`(?i)(status|code|http\S*)\W{1,3}401\b|unauthorized|unauthenticated|authentication failed|no valid credential sources|` +
		`could not find default credentials|InvalidClientTokenId|AuthFailure|ExpiredToken|SignatureDoesNotMatch|invalid_grant|AADSTS\d+|` +
		`(invalid|expired|bad|wrong|missing) (credential|access key|api key|api token)`)
)

// roomAdvice is what to do where the reason of an end is a full spool.
func (a *attempt) roomAdvice(reason string) string {
	if reason != supervisor.ReasonFull {
		return ""
	}
	return "\n" + a.daemon.diskAdvice()
}

// advised is an error of the engine with what an operator can do about it.
func (a *attempt) advised(message string) string {
	switch {
	case missingProvider.MatchString(message):
		return message + "\n" + a.providerAdvice(message)
	case diskIsFull.MatchString(message):
		return message + "\n" + a.daemon.diskAdvice()
	case badCredentials.MatchString(message):
		return message + "\n" + a.credentialAdvice()
	}
	return message
}

// providerAdvice names what was asked for, where it was looked for, and what
// can be done.
func (a *attempt) providerAdvice(message string) string {
	asked := "The template asks for a provider"
	for _, wanted := range a.work.wantedProviders() {
		if strings.Contains(message, wanted.Address) {
			asked = "The template asks for the provider " + wanted.Address
			if wanted.Constraint != "" {
				asked += fmt.Sprintf(" in a version %q", wanted.Constraint)
			}
			break
		}
	}
	return fmt.Sprintf("%s, and the provisioner %q looks for providers %s. Put it there, or let the provisioner's host reach a registry or mirror that has it; "+
		"or check source and version in required_providers. Then build again.", asked, a.daemon.opts.Name, a.tools.workshop.ProviderSources())
}

func (a *attempt) credentialAdvice() string {
	narrowed := "all of its variables but CODER_*"
	if len(a.daemon.opts.EnvAllow) > 0 {
		narrowed = "of its variables those that --env-allow names: " + strings.Join(a.daemon.opts.EnvAllow, ", ")
	}
	return fmt.Sprintf("Jobs have the credentials of the provisioner's host: check those of the user that runs the provisioner %q there "+
		"(variables and files such as ~/.aws or ~/.config/gcloud; jobs see %s), restart it if variables changed, and build again.", a.daemon.opts.Name, narrowed)
}

func (d *Daemon) diskAdvice() string {
	return fmt.Sprintf("A disk of the provisioner %q is full: make room on its host where %s (jobs), %s (cache) and its temporary files are, for example with "+
		"`coder provisioner cache clean`. Then build again; nothing is lost.", d.opts.Name, d.opts.SpoolDir, d.opts.CacheDir)
}

// isDiskFull: a limit of the process counts too.
func isDiskFull(err error) bool { return supervisor.IsFull(err) }

// explained adds to an error of the host what to do about it.
func (d *Daemon) explained(err error) error {
	if isDiskFull(err) {
		return fmt.Errorf("%w. %s", err, d.diskAdvice())
	}
	return err
}

// wantedProviders are the providers that init has looked for.
func (w *engineWork) wantedProviders() []terraform.WantedProvider {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted
}
