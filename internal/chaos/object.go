package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
)

// objectSource is the address of the provider whose resources are files
// outside of the engine's directory. No registry has it.
const (
	objectSource  = "chaos.invalid/coder/chaos"
	objectVersion = "1.0.0"
	// objectsCommand is the command of this binary, below exp, that is the provider.
	objectsCommand = "chaos-objects"
)

// ServeObjects is the provider process. It makes each object some time after
// it was asked to and answers some time after that, as a cloud does, and makes
// it also when the engine that asked is dead.
func ServeObjects() {
	plugin.Serve(&plugin.ServeOpts{ProviderAddr: objectSource, ProviderFunc: objectProvider})
}

func objectProvider() *schema.Provider {
	replaces := func(kind schema.ValueType) *schema.Schema {
		return &schema.Schema{Type: kind, Required: true, ForceNew: true}
	}
	changes := func(kind schema.ValueType) *schema.Schema { return &schema.Schema{Type: kind, Optional: true} }
	return &schema.Provider{ResourcesMap: map[string]*schema.Resource{"chaos_object": {
		CreateContext: createObject, ReadContext: readObject, UpdateContext: changeObject, DeleteContext: removeObject,
		Schema: map[string]*schema.Schema{
			"folder":     replaces(schema.TypeString),
			"address":    replaces(schema.TypeString),
			"generation": replaces(schema.TypeInt),
			"note":       changes(schema.TypeString),
			"before_ms":  changes(schema.TypeInt),
			"after_ms":   changes(schema.TypeInt),
		},
	}}}
}

// Verbs of the ledger: one line is written before a change of the world, and
// one when it has happened.
const (
	verbBegin   = "begin"
	verbMade    = "made"
	verbChanged = "changed"
	verbRemoved = "removed"
)

func createObject(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
	id := uuid.NewString()
	err := act(d, id, verbMade, func(path string) error {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text(d, "note")), 0o600)
	})
	if err != nil {
		return diag.FromErr(err)
	}
	d.SetId(id)
	return nil
}

func readObject(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
	_, err := os.Stat(objectPath(d, d.Id()))
	if errors.Is(err, os.ErrNotExist) {
		d.SetId("")
		return nil
	}
	return diag.FromErr(err)
}

func changeObject(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
	return diag.FromErr(act(d, d.Id(), verbChanged, func(path string) error {
		return os.WriteFile(path, []byte(text(d, "note")), 0o600)
	}))
}

func removeObject(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
	return diag.FromErr(act(d, d.Id(), verbRemoved, func(path string) error {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}))
}

// act changes the world at its own pace.
func act(d *schema.ResourceData, id, verb string, change func(path string) error) error {
	pause := func(name string) {
		milliseconds, _ := d.Get(name).(int)
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	}
	if err := note(d, verbBegin, id); err != nil {
		return err
	}
	pause("before_ms")
	if err := change(objectPath(d, id)); err != nil {
		return err
	}
	if err := note(d, verb, id); err != nil {
		return err
	}
	pause("after_ms")
	return nil
}

func text(d *schema.ResourceData, name string) string { return fmt.Sprint(d.Get(name)) }

func objectPath(d *schema.ResourceData, id string) string {
	return filepath.Join(text(d, "folder"), objectsDir, text(d, "address"), id)
}

// note appends to the workspace's ledger, in one write.
func note(d *schema.ResourceData, verb, id string) error {
	folder := text(d, "folder")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(folder, ledgerFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.Join([]string{attemptOfDirectory(), verb, text(d, "address"), id}, " ") + "\n")
	return errors.Join(err, file.Close())
}

// attemptOfDirectory is the attempt in whose work directory this process runs,
// or ran before the directory was removed.
func attemptOfDirectory() string {
	dir, err := os.Readlink("/proc/self/cwd")
	if err != nil {
		return "unknown"
	}
	return attemptOf(dir)
}

// attemptOf reads the attempt from a path in a spool.
func attemptOf(path string) string {
	_, rest, found := strings.Cut(path, "/attempts/")
	if !found {
		return "unknown"
	}
	attempt, _, _ := strings.Cut(rest, "/")
	return attempt
}
