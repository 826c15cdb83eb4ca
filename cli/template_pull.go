package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"coder/client"
	"coder/internal/archive"
)

type templatePullOptions struct {
	env          *Env
	organization string
	name         string
	destination  string
	version      string
	tar, zip     bool
	yes          bool
}

func newTemplatePull(env *Env) *cobra.Command {
	o := &templatePullOptions{env: env}
	cmd := &cobra.Command{
		Use:   "pull <name> [destination]",
		Short: "Write the source of a template into a directory, or as an archive to standard output",
		Args:  rangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			if len(args) == 2 {
				o.destination = args[1]
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.tar, "tar", false, "Write a tar archive to standard output")
	f.BoolVar(&o.zip, "zip", false, "Write a zip archive to standard output")
	f.StringVar(&o.version, "version", "", "Version: active (default), latest, or a name")
	addOrganization(f, &o.organization)
	addYes(cmd, &o.yes)
	return cmd
}

func (o *templatePullOptions) run(ctx context.Context) error {
	if o.tar && o.zip {
		return errors.New("give either --tar or --zip")
	}
	if (o.tar || o.zip) && o.env.IsTerminal(o.env.Stdout) {
		return errors.New("an archive is nothing for a terminal: send standard output to a file, or leave out --tar and --zip")
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, o.name)
	if err != nil {
		return err
	}
	version, err := templateVersion(ctx, c, t, o.version)
	if err != nil {
		return err
	}
	data, err := o.download(ctx, c, version)
	if err != nil {
		return fmt.Errorf("download the version %s: %w", version.Name, err)
	}
	if o.tar || o.zip {
		_, err := o.env.Stdout.Write(data)
		return err
	}
	return o.unpack(ctx, t, version, data)
}

func (o *templatePullOptions) download(ctx context.Context, c *client.Client, version client.TemplateVersion) ([]byte, error) {
	if o.zip {
		return c.DownloadZip(ctx, version.Job.FileID)
	}
	data, _, err := c.Download(ctx, version.Job.FileID)
	return data, err
}

func (o *templatePullOptions) unpack(ctx context.Context, t client.Template, version client.TemplateVersion, data []byte) error {
	if o.destination == "" {
		o.destination = t.Name
	}
	entries, err := os.ReadDir(o.destination)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the destination: %w", err)
	}
	if len(entries) > 0 {
		if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("%s is not empty. Overwrite files in it?", o.destination), false); err != nil {
			return err
		}
	}
	if err := archive.Overwrite(bytes.NewReader(data), o.destination, archive.TemplateLimits()); err != nil {
		return fmt.Errorf("unpack the version %s: %w", version.Name, err)
	}
	o.env.outf("Version %s of %s is in %s\n", version.Name, t.Name, o.destination)
	return nil
}
