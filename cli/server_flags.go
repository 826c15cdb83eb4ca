package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// secureCookieFlag is the flag whose default depends on the access URL.
const secureCookieFlag = "secure-auth-cookie"

// addServerFlags declares what `coder server` understands and acts on. Each
// flag names its variable and its key in the configuration file; secrets have
// no key.
func (o *serverOptions) addFlags(cmd *cobra.Command) {
	f := flags{cmd.Flags()}
	f.StringVarP(&o.configFile, fileFlag, "c", "", "YAML file with options")
	f.declare(fileFlag, "CODER_CONFIG_PATH", "-")
	f.BoolVar(&o.writeConfig, "write-config", false, "Print the options as YAML, and do nothing else")
	o.addNetworkFlags(f)
	o.addStoreFlags(f)
	o.addSessionFlags(f)
	o.addLogFlags(f)
	for _, flag := range inertFlags() {
		flag.add(f)
	}
}

func (o *serverOptions) addNetworkFlags(f flags) {
	c := &o.config
	f.text(&c.AccessURL, "access-url", "", "CODER_ACCESS_URL", "networking.accessURL", "URL at which people, workspaces and provisioners reach the server (default: where it listens)")
	f.text(&c.HTTPAddress, "http-address", "127.0.0.1:3000", "CODER_HTTP_ADDRESS", "networking.http.httpAddress", "Address to listen on; empty is none")
	f.text(&o.address, "address", "", "CODER_ADDRESS", "", "Older name of --http-address")
	olderName(f.FlagSet, "address", "http-address")
	f.yesno(&o.tls, "tls-enable", false, "CODER_TLS_ENABLE", "networking.tls.enable", "Listen with TLS as well")
	f.text(&c.TLSAddress, "tls-address", "127.0.0.1:3443", "CODER_TLS_ADDRESS", "networking.tls.address", "Address to listen on with TLS")
	f.list(&c.TLSCertFiles, "tls-cert-file", "CODER_TLS_CERT_FILE", "networking.tls.certFiles", "Certificate with its chain, PEM; may be repeated")
	f.list(&c.TLSKeyFiles, "tls-key-file", "CODER_TLS_KEY_FILE", "networking.tls.keyFiles", "Private key of a certificate, PEM, in the same order; may be repeated")
	f.text(&c.TLSClientCA, "tls-client-ca-file", "", "CODER_TLS_CLIENT_CA_FILE", "networking.tls.clientCAFile", "Authorities of client certificates, PEM")
	f.choice(&c.TLSClientAuth, "tls-client-auth", "none", "CODER_TLS_CLIENT_AUTH", "networking.tls.clientAuth", "What is asked of client certificates",
		"none", "request", "require-any", "verify-if-given", "require-and-verify")
	f.choice(&c.TLSMinVersion, "tls-min-version", "tls12", "CODER_TLS_MIN_VERSION", "networking.tls.minVersion", "Oldest version of TLS", "tls10", "tls11", "tls12", "tls13")
}

func (o *serverOptions) addStoreFlags(f flags) {
	c, api := &o.config, &o.config.API
	f.text(&c.DataDir, "data-dir", "", "CODER_DATA_DIR", "dataDir", "Directory of database, deployment key and spool (default ~/.local/share/coder)")
	f.text(&c.CacheDir, "cache-dir", "", "CODER_CACHE_DIRECTORY", "cacheDir", "Directory of what can be made again (default ~/.cache/coder)")
	f.text(&c.PostgresURL, "postgres-url", "", "CODER_PG_CONNECTION_URL", "", "URL of a PostgreSQL database (default: SQLite in the data directory)")
	f.number(&c.PostgresMaxOpen, "postgres-conn-max-open", 10, "CODER_PG_CONN_MAX_OPEN", "pgConnMaxOpen", "Most connections to PostgreSQL")
	f.text(&c.DeploymentKey, "deployment-key", "", "CODER_DEPLOYMENT_KEY", "", "Key that seals states and secrets, 64 hexadecimal digits; SQLite keeps one in the data directory, PostgreSQL needs one here. Several, separated by commas, while one replaces another. The variable is safer")
	f.text(&c.DeploymentKeyFile, "deployment-key-file", "", "CODER_DEPLOYMENT_KEY_FILE", "deploymentKeyFile", "File with such keys instead, one a line")

	f.number(&c.ProvisionerDaemons, "provisioner-daemons", 3, "CODER_PROVISIONER_DAEMONS", "provisioning.daemons", "Built-in provisioners, for the default organization only; 0 is none")
	f.text(&c.TerraformPath, "terraform-path", "", "CODER_TERRAFORM_PATH", "provisioning.terraformPath", "Engine of the built-in provisioners (default: terraform or tofu on PATH, else a download)")
	f.span(&c.ShutdownGrace, "shutdown-grace", 10*time.Minute, "CODER_SHUTDOWN_GRACE", "provisioning.shutdownGrace", "How long running builds may finish when the server is stopped; then they are interrupted, and their state is saved")
	f.span(&api.Horizon, "takeover-after", 5*time.Minute, "CODER_PROVISIONER_TAKEOVER_AFTER", "provisioning.takeoverAfter", "After how long of silence a build whose engine had started is taken from its provisioner; negative is never")
	f.text(&api.DefaultQuietHours, "default-quiet-hours-schedule", "CRON_TZ=UTC 0 0 * * *", "CODER_QUIET_HOURS_DEFAULT_SCHEDULE", "userQuietHoursSchedule.defaultQuietHoursSchedule", "When workspaces stop that their template requires to stop on a day, as a daily schedule")
	f.yesno(&o.customQuietHours, "allow-custom-quiet-hours", true, "CODER_ALLOW_CUSTOM_QUIET_HOURS", "userQuietHoursSchedule.allowCustomQuietHours", "Let users choose their own quiet hours")
	f.number(&api.StatesKept, "states-kept", 30, "CODER_WORKSPACE_STATES_KEPT", "provisioning.statesKept", "How many versions of each workspace's state are kept")
}

func (o *serverOptions) addSessionFlags(f flags) {
	api := &o.config.API
	f.span(&api.SessionDuration, "session-duration", 24*time.Hour, "CODER_SESSION_DURATION", "networking.http.sessionDuration", "How long a login lasts")
	f.yesno(&api.DisableSessionExpiryRefresh, "disable-session-expiry-refresh", false, "CODER_DISABLE_SESSION_EXPIRY_REFRESH", "networking.http.disableSessionExpiryRefresh", "End logins on time, even while they are used")
	f.yesno(&api.DisablePasswordAuth, "disable-password-auth", false, "CODER_DISABLE_PASSWORD_AUTH", "networking.http.disablePasswordAuth", "Let owners only sign in with passwords")
	f.span(&api.MaxTokenLifetime, "max-token-lifetime", 876600*time.Hour, "CODER_MAX_TOKEN_LIFETIME", "networking.http.maxTokenLifetime", "Longest lifetime of a token")
	f.span(&api.MaxAdminTokenLifetime, "max-admin-token-lifetime", 168*time.Hour, "CODER_MAX_ADMIN_TOKEN_LIFETIME", "networking.http.maxAdminTokenLifetime", "Longest lifetime of an owner's token")
	f.span(&api.DefaultTokenLifetime, "default-token-lifetime", 168*time.Hour, "CODER_DEFAULT_TOKEN_LIFETIME", "defaultTokenLifetime", "Lifetime of a token that names none")
	f.yesno(&api.SecureCookie, secureCookieFlag, false, "CODER_SECURE_AUTH_COOKIE", "networking.secureAuthCookie", "Send the session cookie over TLS only (default: where the access URL is https)")
	f.choice(&o.sameSite, "samesite-auth-cookie", "lax", "CODER_SAMESITE_AUTH_COOKIE", "networking.sameSiteAuthCookie", "SameSite of the session cookie", "lax", "none")
	f.number(&api.TransportSecurity, "strict-transport-security", 0, "CODER_STRICT_TRANSPORT_SECURITY", "networking.tls.strictTransportSecurity", "For how many seconds browsers shall come by TLS only; 0 leaves it to them. Counts where the access URL is https, or the request came by TLS")
	f.list(&api.TransportSecurityOptions, "strict-transport-security-options", "CODER_STRICT_TRANSPORT_SECURITY_OPTIONS", "networking.tls.strictTransportSecurityOptions", "includeSubDomains or preload; may be repeated")
	f.list(&api.TrustedHeaders, "proxy-trusted-headers", "CODER_PROXY_TRUSTED_HEADERS", "networking.proxyTrustedHeaders", "Headers that name the client, such as X-Forwarded-For; may be repeated")
	f.list(&api.TrustedOrigins, "proxy-trusted-origins", "CODER_PROXY_TRUSTED_ORIGINS", "networking.proxyTrustedOrigins", "Networks of proxies whose such headers are believed, such as 10.0.0.0/8; may be repeated")
	f.number(&api.APIRateLimit, "api-rate-limit", 512, "CODER_API_RATE_LIMIT", "", "Requests a minute of each user, and of each address that is not signed in; negative is no limit")
	f.yesno(&api.DisableWorkspaceSharing, "disable-workspace-sharing", false, "CODER_DISABLE_WORKSPACE_SHARING", "disableWorkspaceSharing", "Let nobody share workspaces; what was shared before counts for nothing")
	f.yesno(&api.DisableRateLimits, "dangerous-disable-rate-limits", false, "CODER_DANGEROUS_DISABLE_RATE_LIMITS", "", "Lift every limit, also that of sign-in")
}

func (o *serverOptions) addLogFlags(f flags) {
	c := &o.config
	o.logs.addFlags(f.FlagSet, "CODER_LOGGING_HUMAN", "CODER_LOGGING_JSON", "CODER_LOGGING_STACKDRIVER", "CODER_LOG_FILTER")
	for name, key := range map[string]string{"log-human": "humanPath", "log-json": "jsonPath", "log-stackdriver": "stackdriverPath", "log-filter": "filter"} {
		fromFile(f.FlagSet, name, "introspection.logging."+key)
	}
	f.yesno(&o.prometheus, "prometheus-enable", false, "CODER_PROMETHEUS_ENABLE", "introspection.prometheus.enable", "Serve metrics")
	f.text(&c.PrometheusAddress, "prometheus-address", "127.0.0.1:2112", "CODER_PROMETHEUS_ADDRESS", "introspection.prometheus.address", "Address of the metrics")
	f.yesno(&o.pprof, "pprof-enable", false, "CODER_PPROF_ENABLE", "introspection.pprof.enable", "Serve profiles")
	f.text(&c.PprofAddress, "pprof-address", "127.0.0.1:6060", "CODER_PPROF_ADDRESS", "introspection.pprof.address", "Address of the profiles")

	f.list(&o.experiments, "experiments", "CODER_EXPERIMENTS", "experiments", "Accepted for compatibility; organizations are always on")
	for _, hidden := range []string{"api-rate-limit", "dangerous-disable-rate-limits", "experiments"} {
		_ = f.MarkHidden(hidden)
	}
}

// flags declares flags with their variables and keys.
type flags struct{ *pflag.FlagSet }

func (f flags) text(into *string, name, value, variable, key, usage string) {
	f.StringVar(into, name, value, usage)
	f.declare(name, variable, key)
}

func (f flags) yesno(into *bool, name string, value bool, variable, key, usage string) {
	f.BoolVar(into, name, value, usage)
	f.declare(name, variable, key)
}

func (f flags) span(into *time.Duration, name string, value time.Duration, variable, key, usage string) {
	f.DurationVar(into, name, value, usage)
	f.declare(name, variable, key)
}

func (f flags) number(into *int, name string, value int, variable, key, usage string) {
	f.IntVar(into, name, value, usage)
	f.declare(name, variable, key)
}

func (f flags) list(into *[]string, name, variable, key, usage string) {
	f.StringArrayVar(into, name, nil, usage)
	f.declare(name, variable, key)
}

func (f flags) choice(into *string, name, value, variable, key, usage string, valid ...string) {
	*into = value
	f.Var(&choiceValue{into: into, valid: valid}, name, usage)
	f.declare(name, variable, key)
}

// declare names a flag's variable, and its key unless that is empty.
func (f flags) declare(name, variable, key string) {
	fromEnv(f.FlagSet, name, variable)
	if key != "" {
		fromFile(f.FlagSet, name, key)
	}
}

// inertFlag is a flag of other servers that has no effect on this one. It
// parses, and a value that asks for something is answered by one warning.
type inertFlag struct {
	name, variable, key string
	kind                flagKind
	// silent values ask for what is so anyway.
	silent []string
}

type flagKind int

const (
	textFlag flagKind = iota + 1
	boolFlag
	listFlag
	spanFlag
	numberFlag
)

func (i inertFlag) add(f flags) {
	const usage = "Accepted for compatibility, without effect"
	switch i.kind {
	case boolFlag:
		f.Bool(i.name, false, usage)
	case listFlag:
		f.StringArray(i.name, nil, usage)
	case spanFlag:
		f.Duration(i.name, 0, usage)
	case numberFlag:
		f.Int(i.name, 0, usage)
	default:
		f.String(i.name, "", usage)
	}
	_ = f.MarkHidden(i.name)
	if i.variable == "" {
		i.variable = "CODER_" + strings.ToUpper(strings.ReplaceAll(i.name, "-", "_"))
	}
	f.declare(i.name, i.variable, i.key)
}

// warnOfInert says once of each flag without effect that it has none.
func warnOfInert(env *Env, f *pflag.FlagSet) {
	for _, inert := range inertFlags() {
		source := env.sources[inert.name]
		if source == "" {
			continue
		}
		asked := f.Lookup(inert.name).Value.String()
		quiet := false
		for _, value := range inert.silent {
			quiet = quiet || strings.EqualFold(asked, value)
		}
		if !quiet {
			env.warnf("--%s (from %s) has no effect on this server", inert.name, source)
		}
	}
}

// inertFlags are the reference's flags that this server has no use for.
func inertFlags() []inertFlag {
	off := []string{"false", "0", "0s", ""}
	list := []inertFlag{
		{name: "wildcard-access-url", key: "networking.wildcardAccessURL", kind: textFlag},
		{name: "redirect-to-access-url", key: "networking.redirectToAccessURL", kind: boolFlag, silent: off},
		{name: "docs-url", key: "networking.docsURL", kind: textFlag},
		{name: "tls-client-cert-file", key: "networking.tls.clientCertFile", kind: textFlag},
		{name: "tls-client-key-file", key: "networking.tls.clientKeyFile", kind: textFlag},
		{name: "tls-ciphers", key: "networking.tls.tlsCiphers", kind: listFlag},
		{name: "tls-allow-insecure-ciphers", key: "networking.tls.tlsAllowInsecureCiphers", kind: boolFlag, silent: off},
		{name: "postgres-auth", variable: "CODER_PG_AUTH", key: "pgAuth", kind: textFlag, silent: []string{"password"}},
		{name: "postgres-conn-max-idle", variable: "CODER_PG_CONN_MAX_IDLE", key: "pgConnMaxIdle", kind: textFlag, silent: []string{"auto"}},
		{name: "provisioner-daemon-psk", kind: textFlag},
		{name: "provisioner-force-cancel-interval", key: "provisioning.forceCancelInterval", kind: spanFlag},
		{name: "provisioner-disable-module-cache", key: "provisioning.disableModuleCache", kind: boolFlag, silent: off},
		{name: "provisioner-daemon-poll-interval", key: "provisioning.daemonPollInterval", kind: spanFlag},
		{name: "provisioner-daemon-poll-jitter", key: "provisioning.daemonPollJitter", kind: spanFlag},
		{name: "telemetry", variable: "CODER_TELEMETRY_ENABLE", key: "telemetry.enable", kind: boolFlag, silent: off},
		{name: "update-check", key: "updateCheck", kind: boolFlag, silent: off},
		{name: "trace", variable: "CODER_TRACE_ENABLE", key: "introspection.tracing.enable", kind: boolFlag, silent: off},
		{name: "trace-honeycomb-api-key", kind: textFlag},
		{name: "trace-logs", key: "introspection.tracing.captureLogs", kind: boolFlag, silent: off},
		{name: "enable-terraform-debug-mode", key: "introspection.logging.enableTerraformDebugMode", kind: boolFlag, silent: off},
		{name: "prometheus-collect-agent-stats", key: "introspection.prometheus.collect_agent_stats", kind: boolFlag, silent: off},
		{name: "prometheus-collect-db-metrics", key: "introspection.prometheus.collect_db_metrics", kind: boolFlag, silent: off},
		{name: "prometheus-aggregate-agent-stats-by", key: "introspection.prometheus.aggregate_agent_stats_by", kind: listFlag},
		{name: "host-prefix-cookie", key: "networking.hostPrefixCookie", kind: boolFlag, silent: off},
		{name: "default-oauth-refresh-lifetime", key: "defaultOAuthRefreshLifetime", kind: spanFlag},
		{name: "additional-csp-policy", key: "networking.http.additionalCSPPolicy", kind: listFlag},
		{name: "swagger-enable", key: "enableSwagger", kind: boolFlag, silent: off},
		{name: "ssh-keygen-algorithm", key: "sshKeygenAlgorithm", kind: textFlag, silent: []string{"ed25519"}},
		{name: "workspace-hostname-suffix", key: "client.workspaceHostnameSuffix", kind: textFlag},
		{name: "ssh-config-options", key: "client.sshConfigOptions", kind: listFlag},
		{name: "cli-upgrade-message", key: "client.cliUpgradeMessage", kind: textFlag},
		{name: "web-terminal-renderer", key: "client.webTerminalRenderer", kind: textFlag},
		{name: "scim-auth-header", kind: textFlag},
		{name: "scim-use-legacy", key: "scimUseLegacy", kind: boolFlag, silent: []string{"true", "false"}},
		{name: "external-token-encryption-keys", kind: listFlag},
		{name: "terms-of-service-url", key: "termsOfServiceURL", kind: textFlag},
		{name: "browser-only", key: "networking.browserOnly", kind: boolFlag, silent: off},
		{name: "cluster-host", key: "networking.cluster.clusterHost", kind: textFlag},
		{name: "disable-path-apps", key: "disablePathApps", kind: boolFlag, silent: off},
		{name: "disable-owner-workspace-access", key: "disableOwnerWorkspaceAccess", kind: boolFlag, silent: off},
		{name: "health-check-refresh", key: "introspection.healthcheck.refresh", kind: spanFlag},
		{name: "health-check-threshold-database", key: "introspection.healthcheck.thresholdDatabase", kind: spanFlag},
		{name: "proxy-health-interval", key: "networking.http.proxyHealthInterval", kind: spanFlag},
		{name: "support-links", key: "supportLinks", kind: listFlag},
		{name: "ephemeral", kind: boolFlag, silent: off},
	}
	return append(list, inertSignInFlags()...)
}

// inertSignInFlags are those of relays and of sign-in by others.
func inertSignInFlags() []inertFlag {
	off := []string{"false", "0", "0s", ""}
	return []inertFlag{
		{name: "derp-server-enable", key: "networking.derp.enable", kind: boolFlag, silent: off},
		{name: "derp-server-region-name", key: "networking.derp.regionName", kind: textFlag},
		{name: "derp-server-stun-addresses", key: "networking.derp.stunAddresses", kind: listFlag},
		{name: "derp-server-relay-url", key: "networking.derp.relayURL", kind: textFlag},
		{name: "block-direct-connections", variable: "CODER_BLOCK_DIRECT", key: "networking.derp.blockDirect", kind: boolFlag, silent: off},
		{name: "derp-force-websockets", key: "networking.derp.forceWebSockets", kind: boolFlag, silent: off},
		{name: "derp-config-url", key: "networking.derp.url", kind: textFlag},
		{name: "derp-config-path", key: "networking.derp.configPath", kind: textFlag},
		{name: "oauth2-github-client-id", key: "oauth2.github.clientID", kind: textFlag},
		{name: "oauth2-github-client-secret", kind: textFlag},
		{name: "oauth2-github-device-flow", key: "oauth2.github.deviceFlow", kind: boolFlag, silent: off},
		{name: "oauth2-github-default-provider-enable", key: "oauth2.github.defaultProviderEnable", kind: boolFlag, silent: off},
		{name: "oauth2-github-allowed-orgs", key: "oauth2.github.allowedOrgs", kind: listFlag},
		{name: "oauth2-github-allowed-teams", key: "oauth2.github.allowedTeams", kind: listFlag},
		{name: "oauth2-github-allow-signups", key: "oauth2.github.allowSignups", kind: boolFlag, silent: off},
		{name: "oauth2-github-allow-everyone", key: "oauth2.github.allowEveryone", kind: boolFlag, silent: off},
		{name: "oauth2-github-enterprise-base-url", key: "oauth2.github.enterpriseBaseURL", kind: textFlag},
		{name: "oauth2-provider-enable", key: "oauth2Provider.enable", kind: boolFlag, silent: off},
		{name: "oidc-issuer-url", key: "oidc.issuerURL", kind: textFlag},
		{name: "oidc-client-id", key: "oidc.clientID", kind: textFlag},
		{name: "oidc-client-secret", kind: textFlag},
		{name: "oidc-client-key-file", key: "oidc.oidcClientKeyFile", kind: textFlag},
		{name: "oidc-client-cert-file", key: "oidc.oidcClientCertFile", kind: textFlag},
		{name: "oidc-scopes", key: "oidc.scopes", kind: listFlag},
		{name: "oidc-auth-url-params", key: "oidc.authURLParams", kind: textFlag},
		{name: "oidc-group-field", key: "oidc.groupField", kind: textFlag},
		{name: "oidc-group-mapping", key: "oidc.groupMapping", kind: textFlag},
		{name: "oidc-group-auto-create", key: "oidc.enableGroupAutoCreate", kind: boolFlag, silent: off},
		{name: "oidc-group-regex-filter", key: "oidc.groupRegexFilter", kind: textFlag},
		{name: "oidc-allowed-groups", key: "oidc.groupAllowed", kind: listFlag},
		{name: "oidc-user-role-field", key: "oidc.userRoleField", kind: textFlag},
		{name: "oidc-user-role-mapping", key: "oidc.userRoleMapping", kind: textFlag},
		{name: "oidc-user-role-default", key: "oidc.userRoleDefault", kind: listFlag},
		{name: "oidc-allow-signups", key: "oidc.allowSignups", kind: boolFlag, silent: []string{"true", "false"}},
		{name: "oidc-ignore-email-verified", key: "oidc.ignoreEmailVerified", kind: boolFlag, silent: off},
		{name: "oidc-ignore-userinfo", key: "oidc.ignoreUserInfo", kind: boolFlag, silent: off},
		{name: "oidc-email-domain", key: "oidc.emailDomain", kind: listFlag},
		{name: "oidc-username-field", key: "oidc.usernameField", kind: textFlag},
		{name: "oidc-name-field", key: "oidc.nameField", kind: textFlag},
		{name: "oidc-email-field", key: "oidc.emailField", kind: textFlag},
		{name: "oidc-sign-in-text", key: "oidc.signInText", kind: textFlag},
		{name: "oidc-icon-url", key: "oidc.iconURL", kind: textFlag},
		{name: "oidc-signups-disabled-text", key: "oidc.signupsDisabledText", kind: textFlag},
		{name: "oidc-redirect-url", key: "oidc.redirectURL", kind: textFlag},
		{name: "dangerous-oidc-skip-issuer-checks", key: "oidc.dangerousSkipIssuerChecks", kind: boolFlag, silent: off},
	}
}
