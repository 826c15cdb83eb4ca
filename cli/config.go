package cli

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Annotations of flags: the variable and the key of the configuration file
// that fill one when it is not given.
const (
	envAnnotation   = "coder-env"
	yamlAnnotation  = "coder-yaml"
	newerAnnotation = "coder-newer"
	fileFlag        = "config"
)

// fromEnv declares the variable of a flag.
func fromEnv(f *pflag.FlagSet, name, variable string) {
	flag := f.Lookup(name)
	_ = f.SetAnnotation(name, envAnnotation, []string{variable})
	flag.Usage += " [$" + variable + "]"
}

// fromFile declares the key of a flag in the configuration file.
func fromFile(f *pflag.FlagSet, name, key string) {
	_ = f.SetAnnotation(name, yamlAnnotation, []string{key})
}

// olderName hides a flag that still works, and names the flag that people
// should use now, which may have a value with it.
func olderName(f *pflag.FlagSet, name, newer string) {
	_ = f.SetAnnotation(name, newerAnnotation, []string{newer})
	_ = f.MarkHidden(name)
}

// warnOfOlderNames names the replacement of each older flag that has a value,
// as a variable where the older one was given as a variable.
func warnOfOlderNames(env *Env, cmd *cobra.Command, sources map[string]string) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		newer, source := annotation(flag, newerAnnotation), sources[flag.Name]
		if newer == "" || source == "" {
			return
		}
		older, use := "--"+flag.Name, "--"+newer
		if variable, ok := strings.CutPrefix(source, "$"); ok {
			older = variable
			if replacement := cmd.Flags().Lookup(newer); replacement != nil {
				use = annotation(replacement, envAnnotation)
			}
		}
		env.warnf("%s is deprecated: use %s", older, use)
	})
}

func annotation(flag *pflag.Flag, name string) string {
	if values := flag.Annotations[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// fillFlags gives every flag that is not on the command line the value of its
// variable, else of the configuration file; the rest keep their defaults. It
// returns where each value came from.
func fillFlags(env *Env, cmd *cobra.Command) (map[string]string, error) {
	sources := map[string]string{}
	fill := func(flag *pflag.Flag, values []string, source string) error {
		if err := setFlag(flag, values); err != nil {
			return fmt.Errorf("the value %q of %s cannot be used: %w", strings.Join(values, ","), source, err)
		}
		sources[flag.Name] = source
		return nil
	}
	var failed error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		variable := annotation(flag, envAnnotation)
		switch {
		case failed != nil:
		case flag.Changed:
			sources[flag.Name] = "flag"
		case variable != "" && env.Getenv(variable) != "":
			failed = fill(flag, []string{env.Getenv(variable)}, "$"+variable)
		}
	})
	if failed != nil {
		return nil, failed
	}
	file := cmd.Flags().Lookup(fileFlag)
	if file == nil || annotation(file, yamlAnnotation) == "" || file.Value.String() == "" {
		return sources, nil
	}
	return sources, fillFromFile(env, cmd, file.Value.String(), sources, fill)
}

func fillFromFile(env *Env, cmd *cobra.Command, path string, sources map[string]string, fill func(*pflag.Flag, []string, string) error) error {
	v := viper.New()
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		return fmt.Errorf("read the configuration file: %w", err)
	}
	known := []string{}
	var failed error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		key := annotation(flag, yamlAnnotation)
		if key == "" {
			return
		}
		known = append(known, strings.ToLower(key))
		if failed != nil || sources[flag.Name] != "" || !v.IsSet(key) {
			return
		}
		values := []string{v.GetString(key)}
		if _, many := flag.Value.(pflag.SliceValue); many {
			values = v.GetStringSlice(key)
		}
		failed = fill(flag, values, path+", "+key)
	})
	for _, key := range v.AllKeys() {
		if !slices.Contains(known, key) {
			env.warnf("the configuration file %s has the key %q, which means nothing here", path, key)
		}
	}
	return failed
}

// setFlag sets a flag as if it had been given; lists are comma-separated.
func setFlag(flag *pflag.Flag, values []string) error {
	list, many := flag.Value.(pflag.SliceValue)
	if !many {
		return flag.Value.Set(values[0])
	}
	if len(values) == 1 {
		r := csv.NewReader(strings.NewReader(values[0]))
		r.LazyQuotes = true
		fields, err := r.Read()
		if err != nil {
			return err
		}
		values = fields
	}
	return list.Replace(values)
}

// printOptions shows each flag of a command with its value's source.
func printOptions(env *Env, cmd *cobra.Command, sources map[string]string) {
	type option struct{ name, source string }
	var rows []option
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		source := sources[flag.Name]
		if source == "" {
			source = "default"
		}
		rows = append(rows, option{flag.Name, source})
	})
	table := table[option]{columns: []column[option]{
		{"option", func(o option) string { return o.name }},
		{"value source", func(o option) string { return o.source }},
	}}
	table.print(env.Stdout, nil, rows)
}
