package server

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Config is what `coder server` is started with: one field per flag that has
// an effect. Durations and sizes that are zero take the default of Options.
type Config struct {
	// HTTPAddress is host:port; empty listens on TLS only.
	HTTPAddress string
	// AccessURL is derived from the address when empty.
	AccessURL string
	DataDir   string
	CacheDir  string

	PostgresURL     string
	PostgresMaxOpen int
	// DeploymentKey is one key or several, separated by commas, each 64
	// hexadecimal digits; DeploymentKeyFile has them one a line. Without either
	// SQLite makes one in DataDir, and PostgreSQL refuses to start.
	DeploymentKey     string
	DeploymentKeyFile string

	TLSAddress    string
	TLSCertFiles  []string
	TLSKeyFiles   []string
	TLSClientCA   string
	TLSClientAuth string
	TLSMinVersion string

	// ProvisionerDaemons serve the default organization; 0 runs none.
	ProvisionerDaemons int
	TerraformPath      string
	// FetchEngine downloads an engine where the host has none, to FetchedEngine;
	// nil does not.
	FetchEngine   func(context.Context) (string, error)
	FetchedEngine string
	// ShutdownGrace is how long built-in daemons may finish after SIGTERM.
	ShutdownGrace time.Duration

	PrometheusAddress string
	PprofAddress      string

	API Options

	// Interactive prints the lines for people; Stdout takes them.
	Stdout io.Writer
	Logger *slog.Logger
	// Version is reported by buildinfo and to daemons.
	Version string
}
