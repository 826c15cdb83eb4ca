//go:build !linux && !darwin

package terraform

import (
	"context"
	"errors"
	"os"
	"syscall"
)

var errUnsupported = errors.New("provisioners run on Linux and macOS only")

func lockShared(context.Context, string) (*os.File, error)    { return nil, errUnsupported }
func lockExclusive(context.Context, string) (*os.File, error) { return nil, errUnsupported }
func tryLock(string) (*os.File, error)                        { return nil, errUnsupported }
func downgrade(*os.File) error                                { return errUnsupported }
func groupLeader() *syscall.SysProcAttr                       { return nil }
func killGroup(int) error                                     { return errUnsupported }
func FileMark(string) string                                  { return "" }
func fileID(os.FileInfo) any                                  { return nil }
