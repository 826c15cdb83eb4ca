package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coder/internal/terraform"
)

func newProvisionerCache(env *Env) *cobra.Command {
	return group("cache", "See and clean what the provisioners of this host keep", nil,
		newProvisionerCacheVerify(env), newProvisionerCacheClean(env))
}

// cacheOptions are those of every command on the cache of this host.
type cacheOptions struct {
	env *Env
	dir string
}

func (o *cacheOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dir, "cache-dir", "", "Directory that the provisioners were started with (default ~/.cache/coder)")
	fromEnv(cmd.Flags(), "cache-dir", "CODER_CACHE_DIRECTORY")
}

func (o *cacheOptions) open() (*terraform.Cache, error) {
	dir, err := o.env.cacheDir(o.dir)
	if err != nil {
		return nil, err
	}
	o.dir = dir
	return terraform.OpenCache(dir, o.env.Now), nil
}

// cacheItem is a thing in the cache, as it is shown.
type cacheItem struct {
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Size       int64     `json:"size"`
	LastUsedAt time.Time `json:"last_used_at"`
	State      string    `json:"state"`
	Detail     string    `json:"detail,omitempty"`
}

func cacheItems(items []terraform.Item) []cacheItem {
	shown := make([]cacheItem, len(items))
	for i, item := range items {
		shown[i] = cacheItem{item.Kind, item.Name, item.Bytes, item.LastUsed, item.State, item.Detail}
	}
	return shown
}

func cacheTable() table[cacheItem] {
	return table[cacheItem]{columns: []column[cacheItem]{
		{"kind", func(i cacheItem) string { return i.Kind }},
		{"name", func(i cacheItem) string { return i.Name }},
		{"size", func(i cacheItem) string { return byteSize(i.Size) }},
		{"last used", func(i cacheItem) string { return timeCell(i.LastUsedAt) }},
		{"state", func(i cacheItem) string { return i.State }},
		{"detail", func(i cacheItem) string { return i.Detail }},
	}}
}

// byteSize is a number of bytes with three digits at most.
func byteSize(n int64) string {
	size := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if size < 1000 {
			return fmt.Sprintf("%.3g %s", size, unit)
		}
		size /= 1024
	}
	return fmt.Sprintf("%.3g TiB", size)
}

type provisionerCacheVerifyOptions struct {
	cacheOptions
	heal bool
	list listOptions
}

func newProvisionerCacheVerify(env *Env) *cobra.Command {
	o := &provisionerCacheVerifyOptions{cacheOptions: cacheOptions{env: env}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare all that the provisioners of this host keep with what was put there",
		Long: "Compare all that the provisioners of this host keep with what was put there: initialized\n" +
			"directories of template versions, providers, and copies of the embedded provider. What is\n" +
			"unfinished is being made, or was when a provisioner was killed; no job uses it.\n\n" +
			"Provisioners find damage by themselves: in what a job copies, in all that a job had that\n" +
			"failed, and in everything once a day. They make again what they find, and so they do with\n" +
			"what --heal takes away. It may be used while they work.\n\n" +
			"Exits with 1 when something is damaged and --heal was not given.",
		Example: "  coder provisioner cache verify\n  coder provisioner cache verify --heal --cache-dir /var/cache/coder",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.heal, "heal", false, "Take away what is damaged, so that it is made again")
	addList(cmd, &o.list, cacheTable())
	return cmd
}

func (o *provisionerCacheVerifyOptions) run(ctx context.Context) error {
	cache, err := o.open()
	if err != nil {
		return err
	}
	items, err := cache.Verify(ctx)
	if err != nil {
		return err
	}
	shown := cacheItems(items)
	if err := printList(o.env, o.list, cacheTable(), shown, shown, "The cache in "+o.dir+" is empty."); err != nil {
		return err
	}
	healed, damaged := 0, 0
	for _, item := range items {
		if item.State != terraform.StateDamaged {
			continue
		}
		damaged++
		if !o.heal {
			continue
		}
		if err := cache.Heal(ctx, item); err != nil {
			return err
		}
		healed++
	}
	switch {
	case healed > 0:
		o.env.errf("Took away %d of %d as damaged; they are made again when a job needs them.\n", healed, len(items))
	case damaged > 0:
		return fmt.Errorf("%d of %d are damaged: provisioners make them again when --heal has taken them away. "+
			"If it happens often, check this host's disk and memory", damaged, len(items))
	}
	return nil
}

type provisionerCacheCleanOptions struct {
	cacheOptions
	olderThan string
	all       bool
	yes       bool
	format    string
}

func newProvisionerCacheClean(env *Env) *cobra.Command {
	o := &provisionerCacheCleanOptions{cacheOptions: cacheOptions{env: env}}
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove what the provisioners of this host have not used for long",
		Long: "Remove what the provisioners of this host have not used for long. They do so by themselves\n" +
			"after 30 days. What is removed is made again when a job needs it. What a running job uses\n" +
			"stays, also with --all and also when its provisioner was killed; so does the embedded\n" +
			"provider of provisioners that run. Engines that were downloaded stay too.",
		Example: "  coder provisioner cache clean --older-than 7d\n  coder provisioner cache clean --all --yes",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.olderThan, "older-than", "30d", "Remove what was last used before this time")
	cmd.Flags().BoolVar(&o.all, "all", false, "Remove everything that no job uses")
	cmd.MarkFlagsMutuallyExclusive("older-than", "all")
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *provisionerCacheCleanOptions) run(ctx context.Context) error {
	age := time.Duration(0)
	if !o.all {
		var err error
		if age, err = parseLongDuration(o.olderThan); err != nil || age <= 0 {
			return fmt.Errorf("--older-than: %q is no time such as 30d; use --all to remove everything", o.olderThan)
		}
	}
	cache, err := o.open()
	if err != nil {
		return err
	}
	items, err := cache.Unused(age)
	if err != nil {
		return err
	}
	if len(items) > 0 {
		question := fmt.Sprintf("Remove %d things of %s from %s?", len(items), byteSize(totalSize(items)), o.dir)
		if err := o.env.confirm(ctx, o.yes, question, false); err != nil {
			return err
		}
	}
	cleaned, err := cache.Clean(ctx, items)
	return errors.Join(o.print(cleaned), err)
}

func (o *provisionerCacheCleanOptions) print(cleaned terraform.Cleaned) error {
	freed := totalSize(cleaned.Removed)
	if o.format == "json" {
		return o.env.printJSON(struct {
			Freed   int64       `json:"freed"`
			Removed []cacheItem `json:"removed"`
			InUse   []cacheItem `json:"in_use"`
		}{freed, cacheItems(cleaned.Removed), cacheItems(cleaned.InUse)})
	}
	o.env.outf("Freed %s (%d bytes) in %s: %d removed, %d in use and kept.\n",
		byteSize(freed), freed, o.dir, len(cleaned.Removed), len(cleaned.InUse))
	return nil
}

func totalSize(items []terraform.Item) int64 {
	var size int64
	for _, item := range items {
		size += item.Bytes
	}
	return size
}
