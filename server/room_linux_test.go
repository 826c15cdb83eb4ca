package server_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/disktest"
	"coder/server"
	"coder/server/servertest"
	"coder/store/storetest"
)

// TestTheServersDiskIsFull fills a real file system under the database while a
// build runs: its state and its end are taken, its log says what it lacks, and
// nothing new begins before there is room.
func TestTheServersDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := disktest.Mount(t, 64)
	o := storetest.SQLiteOptions(t)
	o.Dir = dir
	reserve := filepath.Join(dir, "reserve")
	s := newScene(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithOptions(func(o *server.Options) { o.ReserveFile = reserve }))
	require.FileExists(t, reserve)
	box := s.create(t, "box")
	j := s.worker.take(t)
	waiting := s.asked(t, nil)
	disktest.Fill(t, dir)

	// Lines that find no room are taken all the same, and not kept.
	logs, sent := client.AppendLogsRequest{}, 0
	send := func() {
		line := strings.Repeat("x", 60<<10)
		logs.Entries = nil
		for range 10 {
			logs.Entries = append(logs.Entries, client.JobLogEntry{Offset: logs.Next, CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Starting workspace", Output: line})
			logs.Next += int64(len(line)) + 1
			sent++
		}
		reply, err := j.attempt.AppendLogs(t.Context(), logs)
		require.NoError(t, err)
		require.Equal(t, logs.Next, reply.Expected)
		logs.Offset = logs.Next
	}
	require.Eventually(t, func() bool {
		send()
		_, err := os.Stat(reserve)
		return os.IsNotExist(err)
	}, time.Minute, time.Millisecond, "the reserve is given back")
	send()

	// The state is large, and arrives; nothing else begins.
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise)
	state := fmt.Sprintf(`{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":%q,"outputs":{"noise":{"value":%q,"type":"string"}},"resources":[]}`, j.ID, hex.EncodeToString(noise))
	ref := j.putState(t, 1, state)
	_, err := s.worker.client.AcquireJob(t.Context(), s.worker.id, client.AcquireJobRequest{RequestID: uuid.New()})
	require.Equal(t, http.StatusInsufficientStorage, client.StatusCode(err))
	require.ErrorContains(t, err, "disk is full: no job is handed out")
	_, err = s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "another"})
	require.Equal(t, http.StatusInsufficientStorage, client.StatusCode(err))
	x := s.explained(t, waiting)
	require.Equal(t, client.ExplainServerFull, x.Code)
	_, report := s.Raw(t, s.Token, http.MethodGet, "/debug/health", "")
	require.Contains(t, report, "disk is full or cannot be written since")
	_, err = j.attempt.Complete(t.Context(), client.CompleteJobRequest{State: ref, Logs: logs.Next, Build: &client.BuildResult{Resources: []client.ProvisionedResource{}}})
	require.NoError(t, err)
	require.Equal(t, client.JobSucceeded, s.read(t, box.ID).LatestBuild.Job.Status)
	kept, err := s.Client.WorkspaceBuildLogs(t.Context(), box.LatestBuild.ID, 0)
	require.NoError(t, err)
	require.Less(t, len(kept), sent)
	told := 0
	for _, line := range kept {
		if strings.Contains(line.Output, "dropped from here on, because the server's disk is full") {
			told++
		}
	}
	require.Equal(t, 1, told)

	// There is room again: all goes on by itself.
	disktest.Free(t, dir)
	require.Eventually(t, func() bool {
		job, err := s.worker.client.AcquireJob(t.Context(), s.worker.id, client.AcquireJobRequest{RequestID: uuid.New()})
		return err == nil && job != nil && job.ID == waiting
	}, time.Minute, 50*time.Millisecond)
	require.FileExists(t, reserve)
	_, err = s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "another"})
	require.NoError(t, err)
}
