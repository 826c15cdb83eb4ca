package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coder/client"
)

// auditEntries is how long the log is that is verified.
const (
	auditEntries = 1_000_000
	auditBatch   = 10_000
)

// measureAudit writes a long log and has it verified, as `coder audit verify` does.
func measureAudit(ctx context.Context, binary, dir string, _ int, out *report) error {
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	begun := time.Now()
	for range auditEntries / auditBatch {
		err := d.owner.GenerateTestAuditLog(ctx, client.TestAuditLogRequest{Action: client.AuditStart, ResourceType: client.AuditWorkspaceBuild, OrganizationID: d.org.ID, Repeat: auditBatch})
		if err != nil {
			return err
		}
	}
	out.add("audit entries appended, 10,000 in a transaction", fmt.Sprintf("%.0f a second", auditEntries/time.Since(begun).Seconds()), "", "")
	begun = time.Now()
	result, err := d.owner.VerifyAudit(ctx, d.org.ID.String(), "")
	if err != nil {
		return err
	}
	took := time.Since(begun)
	if !result.Valid || result.Count < auditEntries {
		return errors.New("the log that was written is not sound, or not whole")
	}
	out.add("a million audit entries are verified", fmt.Sprintf("%.1f s (%.0f entries a second)", took.Seconds(), float64(result.Count)/took.Seconds()), "60 s", "30 s")
	out.add("resident memory: server after that", fmt.Sprintf("%.0f MiB", memory(d.server.Process.Pid)), "", "")
	return nil
}
