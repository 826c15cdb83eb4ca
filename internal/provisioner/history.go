package provisioner

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/atomicfile"
)

// What a spool remembers for a server whose database was restored from an
// older copy: docs/jobs.md, "After a restore".

// maxWitnesses is how much of it a daemon presents when it joins.
const maxWitnesses = 50

// witnessPath is of the newest that is known of an organization.
func (s *spool) witnessPath(organizationID uuid.UUID) string {
	return filepath.Join(s.dir, "witness."+organizationID.String())
}

// witness is empty where the spool has none.
func (s *spool) witness(organizationID uuid.UUID) string {
	content, _ := os.ReadFile(s.witnessPath(organizationID)) // what cannot be read says nothing
	return string(content)
}

// keepWitness keeps the newest for each organization. It is not made durable:
// what it is for survives the end of a process.
func (s *spool) keepWitness(text string) error {
	if text == "" {
		return nil
	}
	claim, err := client.ReadHistoryClaim(text)
	if err != nil {
		return err
	}
	before := s.witness(claim.OrganizationID)
	if known, err := client.ReadHistoryClaim(before); before == text || err == nil && known.Number > claim.Number {
		return nil
	}
	return atomicfile.WriteSoon(s.witnessPath(claim.OrganizationID), []byte(text), 0o600)
}

// witnesses are what a daemon presents when it joins: the newest of each
// organization that the spool has worked for, and the newest vouchers.
func (s *spool) witnesses() []string {
	texts := []string{}
	files, _ := filepath.Glob(filepath.Join(s.dir, "witness.*")) // the pattern is a good one
	for _, path := range files {
		if content, err := os.ReadFile(path); err == nil {
			texts = append(texts, string(content))
		}
	}
	for _, r := range s.remembered(uuid.Nil) {
		texts = append(texts, r.voucher)
	}
	return texts[:min(len(texts), maxWitnesses)]
}

// remembered is an attempt whose engine has started.
type remembered struct {
	folder  *folder
	voucher string
	claim   client.HistoryClaim
	// ended: its folder was put away, with the last state.
	ended bool
}

// remembered are those of an organization, or with uuid.Nil of all, the newest first.
func (s *spool) remembered(organizationID uuid.UUID) []remembered {
	found := []remembered{}
	for _, where := range []string{"attempts", "ended"} {
		folders, _ := filepath.Glob(filepath.Join(s.dir, where, "*", voucherFile)) // the pattern is a good one
		for _, path := range folders {
			content, err := os.ReadFile(path)
			if err != nil {
				continue // put away meanwhile; the next look finds it
			}
			r := remembered{folder: &folder{dir: filepath.Dir(path)}, voucher: string(content), ended: where == "ended"}
			r.claim, err = client.ReadHistoryClaim(r.voucher)
			if err == nil && (organizationID == uuid.Nil || r.claim.OrganizationID == organizationID) {
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, func(x, y remembered) int { return cmp.Compare(y.claim.Number, x.claim.Number) })
	return found
}

// lastState is what an ended attempt has left; nil where that is nothing.
func (r remembered) lastState() ([]byte, error) {
	state, err := os.ReadFile(r.folder.path(finalState))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return state, err
}

func (r remembered) report() (client.HistoryReport, error) {
	report := client.HistoryReport{Voucher: r.voucher, Running: !r.ended}
	if !r.ended {
		return report, nil
	}
	state, err := r.lastState()
	if len(state) > 0 {
		report.SHA256 = hashOf(state)
	}
	return report, err
}

// keepVoucher keeps in the attempt's folder what the server has signed about
// its engine start, before the engine starts.
func (a *attempt) keepVoucher(voucher string) error {
	if voucher == "" {
		return nil
	}
	if err := atomicfile.WriteSoon(a.folder.path(voucherFile), []byte(voucher), 0o600); err != nil {
		return err
	}
	return a.daemon.spool.keepWitness(voucher)
}

// reportHistory tells a server in recovery all that the spool remembers of its
// organization, and hands in the states that it asks for. It returns the
// recovery that the organization is in after that, empty when in none.
func (d *Daemon) reportHistory(ctx context.Context, id, organizationID uuid.UUID) (string, error) {
	batches := slices.Collect(slices.Chunk(d.spool.remembered(organizationID), client.MaxHistoryReports))
	if len(batches) == 0 {
		batches = [][]remembered{{}}
	}
	recovery := ""
	for _, batch := range batches {
		reply, err := d.reportBatch(ctx, id, batch)
		if err != nil {
			return "", err
		}
		for _, r := range batch {
			if !slices.Contains(reply.Wanted, r.claim.AttemptID) {
				continue
			}
			if err := d.handInLost(ctx, id, r); err != nil && !isFinal(err) {
				return "", err
			}
		}
		recovery = reply.Recovery
	}
	return recovery, nil
}

func (d *Daemon) reportBatch(ctx context.Context, id uuid.UUID, batch []remembered) (client.ReportHistoryResponse, error) {
	req := client.ReportHistoryRequest{Reports: []client.HistoryReport{}}
	for _, r := range batch {
		report, err := r.report()
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned, or put away
		}
		if err != nil {
			return client.ReportHistoryResponse{}, err
		}
		req.Reports = append(req.Reports, report)
	}
	return d.opts.Client.ReportHistory(ctx, id, req)
}

func (d *Daemon) handInLost(ctx context.Context, id uuid.UUID, r remembered) error {
	state, err := r.lastState()
	if err != nil {
		return err
	}
	err = d.opts.Client.PutLostState(ctx, id, r.claim.AttemptID, state, hashOf(state))
	if err != nil {
		d.logger.Warn("hand in a state that the restored server lacks", "attempt", r.claim.AttemptID, "workspace", r.claim.WorkspaceName, "error", err)
		return err
	}
	d.logger.Info("handed in a state that the restored server lacked", "attempt", r.claim.AttemptID, "workspace", r.claim.WorkspaceName)
	return nil
}

// outlives asks a server that does not know this attempt to hold its workspace
// all the same, by its voucher: the database may have been restored under the
// engine, which then goes on. held is false where the server does not, and err
// that it could not be asked.
func (a *attempt) outlives(ctx context.Context) (held bool, err error) {
	voucher, err := os.ReadFile(a.folder.path(voucherFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	reply := client.ReportHistoryResponse{}
	err = a.asJoined(ctx, func(id uuid.UUID) (err error) {
		reply, err = a.daemon.opts.Client.ReportHistory(ctx, id, client.ReportHistoryRequest{Reports: []client.HistoryReport{{Voucher: strings.TrimSpace(string(voucher)), Running: true}}})
		return err
	})
	a.heedRecovery(ctx, reply.Recovery)
	return slices.Contains(reply.Held, a.job.AttemptID), err
}

// asJoined makes a call that the daemon makes, and not its attempt. A server
// whose database was restored may not know the daemon: it joins again.
func (a *attempt) asJoined(ctx context.Context, call func(id uuid.UUID) error) error {
	id, _ := a.joined.Load().(uuid.UUID)
	if id == uuid.Nil {
		registered, err := a.daemon.joins(ctx)
		if err != nil {
			return err
		}
		id = registered.ID
		a.joined.Store(id)
	}
	err := call(id)
	if client.IsNotFound(err) {
		a.joined.Store(uuid.Nil)
	}
	return err
}

// heedRecovery tells, beside the job, what the daemon remembers, once in each
// recovery; at the job's end there is more to tell. Builds of others wait for it.
func (a *attempt) heedRecovery(ctx context.Context, recovery string) {
	if recovery == "" || recovery == a.toldOf {
		return
	}
	a.toldOf = recovery
	a.owned.Go(func() {
		for wait := newBackoff(); ctx.Err() == nil; wait.sleep(ctx) {
			err := a.asJoined(ctx, func(id uuid.UUID) error {
				_, err := a.daemon.reportHistory(ctx, id, a.job.OrganizationID)
				return err
			})
			if err == nil {
				a.logger.Info("told the restored server what it lacks, beside the job")
				return
			}
			if isRefusal(err) {
				a.logger.Warn("the restored server does not listen to what it lacks", "error", err)
				return
			}
			if ctx.Err() == nil {
				a.logger.Warn("tell the restored server what it lacks: no success, trying again", "error", err)
			}
		}
	})
}

// isForgotten tells whether the server does not know the attempt's secret.
func isForgotten(err error) bool {
	return isFinal(err) && client.StatusCode(err) == http.StatusUnauthorized
}
