package cli_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// packProvider is the command `pack-provider dir config`: it makes a provider
// mirror with one packed provider, example.test/acme/coder 1.0.0, which is the
// binary under another name, and a configuration that knows no other place.
func packProvider(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pack-provider dir config")
	}
	dir := filepath.Join(ts.MkAbs(args[0]), "example.test", "acme", "coder")
	ts.Check(os.MkdirAll(dir, 0o700))
	program := filepath.Join(ts.MkAbs(args[0]), "terraform-provider-coder")
	ts.Check(os.Symlink(filepath.Join(firstOf(ts.Getenv("PATH")), "coder"), program))
	out, err := os.Create(filepath.Join(dir, fmt.Sprintf("terraform-provider-coder_1.0.0_%s_%s.zip", runtime.GOOS, runtime.GOARCH)))
	ts.Check(err)
	defer out.Close()
	packed := zip.NewWriter(out)
	header := &zip.FileHeader{Name: "terraform-provider-coder_v1.0.0"}
	header.SetMode(0o755)
	script, err := packed.CreateHeader(header)
	ts.Check(err)
	_, err = fmt.Fprintf(script, "#!/bin/sh\n# %080d\nexec '%s' \"$@\"\n", 0, program)
	ts.Check(err)
	ts.Check(packed.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", ts.MkAbs(args[0])), 0o600))
}

// flipByte is the command `flip-byte glob at`: it changes one byte of the only
// file that matches, in place, as a disk does.
func flipByte(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip-byte glob at")
	}
	at, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	paths, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(paths) != 1 {
		ts.Fatalf("%q matches %d files: %q", args[0], len(paths), paths)
	}
	var file *os.File
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		file, err = os.OpenFile(paths[0], os.O_RDWR, 0)
		// A program that has not quite ended cannot be written to.
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(deadline) {
			break
		}
	}
	ts.Check(err)
	defer file.Close()
	one := make([]byte, 1)
	_, err = file.ReadAt(one, at)
	ts.Check(err)
	one[0] ^= 1
	_, err = file.WriteAt(one, at)
	ts.Check(err)
}
