package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"

	"github.com/spf13/pflag"
)

// logOptions are the flags of long-running commands that say what is logged
// and where.
type logOptions struct {
	human       string
	json        string
	stackdriver string
	filter      []string
	verbose     bool
}

// addFlags declares the flags; prefix is that of their variables.
func (o *logOptions) addFlags(f *pflag.FlagSet, human, json, stackdriver, filter string) {
	f.StringVar(&o.human, "log-human", "/dev/stderr", "File for the log in readable form; empty is none")
	f.StringVar(&o.json, "log-json", "", "File for the log as JSON")
	f.StringVar(&o.stackdriver, "log-stackdriver", "", "File for the log as JSON with the field names of Google Cloud")
	f.StringArrayVarP(&o.filter, "log-filter", "l", nil, "Regular expression of debug lines to log, .* for all; may be repeated")
	fromEnv(f, "log-human", human)
	fromEnv(f, "log-json", json)
	fromEnv(f, "log-stackdriver", stackdriver)
	fromEnv(f, "log-filter", filter)
}

// open returns the logger and what closes its files.
func (o *logOptions) open(env *Env) (*slog.Logger, func() error, error) {
	filters := make([]*regexp.Regexp, len(o.filter))
	for i, text := range o.filter {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--log-filter %q is not a regular expression: %w", text, err)
		}
		filters[i] = re
	}
	var handlers []slog.Handler
	var closers []io.Closer
	closeAll := func() error {
		var err error
		for _, c := range closers {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	for _, sink := range []struct {
		path string
		make func(io.Writer) slog.Handler
	}{
		{o.human, humanHandler},
		{o.json, jsonHandler},
		{o.stackdriver, stackdriverHandler},
	} {
		if sink.path == "" {
			continue
		}
		w, closer, err := openLog(env, sink.path)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		if closer != nil {
			closers = append(closers, closer)
		}
		handlers = append(handlers, sink.make(w))
	}
	all := slog.Handler(slog.NewMultiHandler(handlers...))
	return slog.New(debugFilter{Handler: all, verbose: o.verbose, filters: filters}), closeAll, nil
}

// openLog opens a log file to append to. The two standard streams are those
// of the command, whatever they are.
func openLog(env *Env, path string) (io.Writer, io.Closer, error) {
	switch path {
	case "/dev/stderr":
		return env.Stderr, nil, nil
	case "/dev/stdout":
		return env.Stdout, nil, nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	return f, f, nil
}

func humanHandler(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func jsonHandler(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func stackdriverHandler(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.MessageKey:
			a.Key = "message"
		case slog.TimeKey:
			a.Key = "timestamp"
		case slog.LevelKey:
			a.Key = "severity"
			if a.Value.String() == slog.LevelWarn.String() {
				a.Value = slog.StringValue("WARNING")
			}
		}
		return a
	}})
}

// debugFilter lets through debug lines of the verbose, and those that match.
type debugFilter struct {
	slog.Handler
	verbose bool
	filters []*regexp.Regexp
}

func (h debugFilter) Enabled(ctx context.Context, level slog.Level) bool {
	return (level >= slog.LevelInfo || h.verbose || len(h.filters) > 0) && h.Handler.Enabled(ctx, level)
}

func (h debugFilter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo && !h.verbose {
		matched := false
		for _, re := range h.filters {
			matched = matched || re.MatchString(r.Message)
		}
		if !matched {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h debugFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

func (h debugFilter) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}
