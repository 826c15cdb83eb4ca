package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"coder/client"
	"coder/internal/chaos"
	"coder/internal/tofu"
	"coder/server"
)

type serverOptions struct {
	env         *Env
	config      server.Config
	address     string
	configFile  string
	writeConfig bool
	tls         bool
	sameSite    string
	prometheus  bool
	pprof       bool

	customQuietHours bool
	experiments      []string
	logs             logOptions
}

func newServer(env *Env) *cobra.Command {
	o := &serverOptions{env: env}
	cmd := &cobra.Command{
		Use:         "server",
		Short:       "Run a deployment",
		Example:     "  coder server                                  # on http://127.0.0.1:3000, with SQLite\n  coder server --http-address 0.0.0.0:80 --access-url https://coder.example.com",
		Annotations: map[string]string{ownSignals: "yes"},
		Args:        exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.writeConfig {
				return writeConfig(env, cmd.Flags())
			}
			warnOfInert(env, cmd.Flags())
			return o.run(cmd.Context(), cmd.Flags())
		},
	}
	o.addFlags(cmd)
	cmd.AddCommand(newServerCreateAdmin(env), newServerVerifyIsolation(env), newServerRotateKey(env))
	return cmd
}

func (o *serverOptions) run(ctx context.Context, f *pflag.FlagSet) error {
	if err := o.complete(f); err != nil {
		return err
	}
	logger, closeLogs, err := o.logs.open(o.env)
	if err != nil {
		return err
	}
	defer closeLogs() //nolint:errcheck // nothing is left to tell it to
	o.config.Logger = logger
	o.config.FetchEngine, o.config.FetchedEngine = fetchEngine(o.config.CacheDir), tofu.Path(o.config.CacheDir)
	// A reader of our output that goes away must not take the server with it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cancelOnSignal(ctx, cancel)
	withdraw := context.AfterFunc(ctx, func() {
		o.env.outf("Stopping: running builds may finish for %s. Press ctrl+\\ to end at once.\n", o.config.ShutdownGrace)
	})
	defer withdraw()
	if o.config.API.Now, err = chaos.WallClock(o.env.Getenv); err != nil {
		return err
	}
	return server.Run(ctx, o.config)
}

// complete turns what flags say into what the server is started with.
func (o *serverOptions) complete(f *pflag.FlagSet) (err error) {
	c := &o.config
	c.Stdout, c.Version = o.env.Stdout, Version()
	c.API.SameSiteNone = o.sameSite == "none"
	o.chooseCookie()
	c.API.DisableCustomQuietHours = !o.customQuietHours
	if o.address != "" && o.env.sources["http-address"] == "" {
		c.HTTPAddress = o.address
	}
	if !o.tls {
		c.TLSAddress = ""
	}
	if !o.prometheus {
		c.PrometheusAddress = ""
	}
	if !o.pprof {
		c.PprofAddress = ""
	}
	if c.ProvisionerDaemons < 0 {
		return fmt.Errorf("--provisioner-daemons %d is negative; 0 is none", c.ProvisionerDaemons)
	}
	if c.DataDir == "" {
		if c.DataDir, err = o.env.dataDir(); err != nil {
			return err
		}
	}
	if c.CacheDir, err = o.env.cacheDir(c.CacheDir); err != nil {
		return err
	}
	c.API.Advertised = advertised(f)
	return nil
}

// chooseCookie leaves the choice to the access URL where nobody has made it.
func (o *serverOptions) chooseCookie() {
	api, chosen := &o.config.API, o.env.sources[secureCookieFlag] != ""
	api.PlainCookie = chosen && !api.SecureCookie
	if !chosen {
		api.SecureCookie = strings.HasPrefix(strings.ToLower(o.config.AccessURL), "https:")
	}
}

// dataDir is where a server keeps what must not be lost.
func (e *Env) dataDir() (string, error) {
	dir, err := e.homeDir("XDG_DATA_HOME", ".local/share")
	return filepath.Join(dir, "coder"), err
}

// cacheDir is the one given, else that of systemd, else the person's.
func (e *Env) cacheDir(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	if dir := e.Getenv("CACHE_DIRECTORY"); dir != "" {
		return dir, nil
	}
	dir, err := e.homeDir("XDG_CACHE_HOME", ".cache")
	return filepath.Join(dir, "coder"), err
}

// isSecret says whether a flag has a value that is shown nowhere. Such flags
// have values that are shown nowhere: they have no key either.
func isSecret(flag *pflag.Flag) bool { return annotation(flag, yamlAnnotation) == "" }

// advertised are the settings that the API may show.
func advertised(f *pflag.FlagSet) map[string]string {
	settings := map[string]string{}
	f.VisitAll(func(flag *pflag.Flag) {
		if annotation(flag, envAnnotation) != "" && !isSecret(flag) && !flag.Hidden && flag.Name != fileFlag {
			settings[flag.Name] = flag.Value.String()
		}
	})
	return settings
}

// writeConfig prints the options as a configuration file, without secrets.
func writeConfig(env *Env, f *pflag.FlagSet) error {
	root := map[string]any{}
	f.VisitAll(func(flag *pflag.Flag) {
		key := annotation(flag, yamlAnnotation)
		// What depends on other options is left to them, unless it was chosen.
		unsaid := env.sources[flag.Name] == "" && (flag.Hidden || flag.Name == secureCookieFlag)
		if key == "" || key == "-" || unsaid {
			return
		}
		at := root
		parts := strings.Split(key, ".")
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = yamlValue(flag)
	})
	out := yaml.NewEncoder(env.Stdout)
	out.SetIndent(2)
	return out.Encode(root)
}

func yamlValue(flag *pflag.Flag) any {
	text := flag.Value.String()
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	switch flag.Value.Type() {
	case "bool":
		return text == "true"
	case "int":
		var n int
		_, _ = fmt.Sscan(text, &n)
		return n
	}
	return text
}

type serverCreateAdminOptions struct {
	env           *Env
	dataDir       string
	postgresURL   string
	postgresAuth  string
	deploymentKey string
	keyFile       string
	keygen        string
	rawURL        bool
	req           server.CreateAdminUserRequest
}

func newServerCreateAdmin(env *Env) *cobra.Command {
	o := &serverCreateAdminOptions{env: env}
	cmd := &cobra.Command{
		Use:   "create-admin-user",
		Short: "Make an owner directly in the database, who joins every organization; the server must be stopped for SQLite",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.req.Username, "username", "", "Username")
	f.StringVar(&o.req.Email, "email", "", "Address")
	f.StringVar(&o.req.Password, "password", "", "Password; the variable is safer")
	f.StringVar(&o.dataDir, "data-dir", "", "Data directory of the server (default ~/.local/share/coder)")
	f.StringVar(&o.postgresURL, "postgres-url", "", "URL of the PostgreSQL database (default: SQLite in the data directory)")
	f.StringVar(&o.deploymentKey, "deployment-key", "", "Key of the deployment, with PostgreSQL; the variable is safer")
	f.StringVar(&o.keyFile, "deployment-key-file", "", "File with the key of the deployment")
	f.StringVar(&o.postgresAuth, "postgres-connection-auth", "password", "Accepted for compatibility")
	f.StringVar(&o.keygen, "ssh-keygen-algorithm", "ed25519", "Accepted for compatibility")
	f.BoolVar(&o.rawURL, "raw-url", false, "Accepted for compatibility")
	for name, variable := range map[string]string{
		"username": "CODER_USERNAME", "email": "CODER_EMAIL", "password": "CODER_PASSWORD", "data-dir": "CODER_DATA_DIR",
		"postgres-url": "CODER_PG_CONNECTION_URL", "deployment-key": "CODER_DEPLOYMENT_KEY", "deployment-key-file": "CODER_DEPLOYMENT_KEY_FILE",
		"postgres-connection-auth": "CODER_PG_CONNECTION_AUTH", "ssh-keygen-algorithm": "CODER_SSH_KEYGEN_ALGORITHM",
	} {
		fromEnv(f, name, variable)
	}
	for _, hidden := range []string{"postgres-connection-auth", "ssh-keygen-algorithm", "raw-url"} {
		_ = f.MarkHidden(hidden)
	}
	return cmd
}

func (o *serverCreateAdminOptions) run(ctx context.Context) (err error) {
	if o.dataDir == "" {
		if o.dataDir, err = o.env.dataDir(); err != nil {
			return err
		}
	}
	if err := o.ask(ctx); err != nil {
		return err
	}
	config := server.Config{DataDir: o.dataDir, PostgresURL: o.postgresURL, DeploymentKey: o.deploymentKey, DeploymentKeyFile: o.keyFile}
	id, err := server.AddAdminUser(ctx, config, o.req)
	if err != nil {
		return fmt.Errorf("create the user: %w", err)
	}
	o.env.outf("User created successfully.\nID:       %s\nUsername: %s\nEmail:    %s\n", id, o.req.Username, o.req.Email)
	return nil
}

func (o *serverCreateAdminOptions) ask(ctx context.Context) (err error) {
	if o.req.Username == "" {
		o.req.Username, err = o.env.ask(ctx, question{text: "Username:", instead: "give --username", check: checkName(client.NameUsername)})
	}
	if err == nil && o.req.Email == "" {
		o.req.Email, err = o.env.ask(ctx, question{text: "Email:", instead: "give --email", check: checkEmail})
	}
	if err == nil && o.req.Password == "" {
		o.req.Password, err = o.env.ask(ctx, question{text: "Password:", secret: true, instead: "give CODER_PASSWORD"})
	}
	return err
}

// tagList is a map of tags in a fixed order, for logs.
func tagList(tags map[string]string) []string {
	names := slices.Sorted(maps.Keys(tags))
	for i, name := range names {
		names[i] = name + "=" + tags[name]
	}
	return names
}
