package cli_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"path"
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
	program := filepath.Join(ts.MkAbs(args[0]), "terraform-provider-coder")
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	ts.Check(os.Symlink(filepath.Join(firstOf(ts.Getenv("PATH")), "coder"), program))
	packScript(ts, args[0], args[1], "example.test/acme/coder", fmt.Sprintf("# %080d\nexec '%s' \"$@\"\n", 0, program))
}

// packScript makes a provider mirror in dir with one packed provider, release
// 1.0.0, which is a shell script, and a configuration that knows no other place.
func packScript(ts *testscript.TestScript, dir, config, address, script string) {
	mirror, name := ts.MkAbs(dir), "terraform-provider-"+path.Base(address)
	folder := filepath.Join(mirror, filepath.FromSlash(address))
	ts.Check(os.MkdirAll(folder, 0o700))
	out, err := os.Create(filepath.Join(folder, fmt.Sprintf("%s_1.0.0_%s_%s.zip", name, runtime.GOOS, runtime.GOARCH)))
	ts.Check(err)
	defer out.Close()
	packed := zip.NewWriter(out)
	header := &zip.FileHeader{Name: name + "_v1.0.0"}
	header.SetMode(0o755)
	program, err := packed.CreateHeader(header)
	ts.Check(err)
	_, err = program.Write([]byte("#!/bin/sh\n" + script))
	ts.Check(err)
	ts.Check(packed.Close())
	ts.Check(os.WriteFile(ts.MkAbs(config), fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o600))
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
