package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

// CommandPaths are the words behind `coder` of every command there is.
func CommandPaths() [][]string {
	paths := [][]string{{}}
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		for _, child := range cmd.Commands() {
			here := append(path[:len(path):len(path)], child.Name())
			paths = append(paths, here)
			walk(child, here)
		}
	}
	walk(newRoot(&Env{}), nil)
	return paths
}

// InertServerFlags are the names of server flags without effect.
func InertServerFlags() []string {
	names := []string{}
	for _, f := range inertFlags() {
		names = append(names, f.name)
	}
	return names
}

// AbsentCommands are the commands of Coder that are said not to be here.
func AbsentCommands() []string { return slices.Collect(maps.Keys(absentCommands())) }
