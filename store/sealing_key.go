package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"coder/internal/seal"
)

// resealBatch is how many rows are sealed again in one transaction, so that
// builds wait for none of them.
const resealBatch = 20

// ErrTooManyKeys: so many keys of an organization were rotated out of late
// that the rows of the first are not all sealed again.
var ErrTooManyKeys = errors.New("earlier keys of the organization are still being replaced")

// RotateSealingKey gives an organization a new key, in a transaction. What
// the earlier ones have sealed stays readable; Reseal seals it again, and
// DropSealingKeys destroys them when nothing needs them. It returns the
// number of the new key.
func (s *Store) RotateSealingKey(ctx context.Context, organizationID uuid.UUID, at time.Time) (uint32, error) {
	keys, err := s.sealingKeys(ctx, organizationID)
	if err != nil {
		return 0, err
	}
	if len(keys) >= maxSealingKeys {
		return 0, ErrTooManyKeys
	}
	k, err := seal.NewKey()
	if err != nil {
		return 0, err
	}
	keys = slices.Clone(keys)
	keys[0].retired = At(at)
	keys = slices.Insert(keys, 0, sealingKey{number: keys[0].number + 1, key: k})
	return keys[0].number, s.putSealingKeys(ctx, organizationID, keys)
}

func (s *Store) putSealingKeys(ctx context.Context, organizationID uuid.UUID, keys []sealingKey) error {
	row, err := s.wrapKeys(ctx, organizationID, keys)
	if err != nil {
		return err
	}
	_, err = s.SetSealingKey(ctx, SetSealingKeyParams{OrganizationID: organizationID, SealingKey: row})
	return err
}

// OrganizationsWithOldKeys are those that have a key that was rotated out.
func (s *Store) OrganizationsWithOldKeys(ctx context.Context) ([]uuid.UUID, error) {
	rows, err := s.ListSealingKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the keys of the organizations: %w", err)
	}
	var ids []uuid.UUID
	for _, row := range rows {
		keys, err := s.unwrap(ctx, row.ID, row.SealingKey)
		if err != nil {
			return nil, err
		}
		if len(keys) > 1 {
			ids = append(ids, row.ID)
		}
	}
	return ids, nil
}

// Resealed counts what was sealed again.
type Resealed struct {
	States, Variables, HandOuts, DryRuns, Resources, Agents int
}

// Reseal seals with the organization's newest key what an earlier one has
// sealed, a few rows at a time. It may be cut off anywhere and called again.
func (s *Store) Reseal(ctx context.Context, organizationID uuid.UUID) (Resealed, error) {
	var done Resealed
	keys, err := s.sealingKeys(ctx, organizationID)
	if err != nil {
		return done, err
	}
	prefix := sealedWith(keys[0].number)
	for _, kind := range sealedKinds(organizationID, prefix) {
		rows, err := kind.list(ctx, s)
		if err != nil {
			return done, fmt.Errorf("list what is sealed with an earlier key: %w", err)
		}
		for batch := range slices.Chunk(rows, resealBatch) {
			err := s.InTx(ctx, func(tx *Store) error {
				for _, row := range batch {
					if err := row(ctx, tx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return done, fmt.Errorf("seal again what is sealed with an earlier key: %w", err)
			}
			*kind.count(&done) += len(batch)
		}
	}
	return done, nil
}

// DropSealingKeys destroys the keys of an organization that were rotated out
// before a time, unless a row is still sealed with one of them. It returns
// how many are left beside the current one.
func (s *Store) DropSealingKeys(ctx context.Context, organizationID uuid.UUID, before time.Time) (left int, err error) {
	err = s.InTx(ctx, func(tx *Store) error {
		keys, err := tx.sealingKeys(ctx, organizationID)
		if err != nil {
			return err
		}
		left = len(keys) - 1
		for _, kind := range sealedKinds(organizationID, sealedWith(keys[0].number)) {
			rows, err := kind.list(ctx, tx)
			if err != nil || len(rows) > 0 {
				return err
			}
		}
		kept := slices.DeleteFunc(slices.Clone(keys), func(k sealingKey) bool {
			return !k.retired.IsZero() && k.retired.Before(before)
		})
		if len(kept) == len(keys) {
			return nil
		}
		left = len(kept) - 1
		return tx.putSealingKeys(ctx, organizationID, kept)
	})
	return left, err
}

// sealedKind is one column of sealed values; list gives a step for each row
// that is not sealed with the newest key.
type sealedKind struct {
	count func(*Resealed) *int
	list  func(context.Context, *Store) ([]resealStep, error)
}

type resealStep func(context.Context, *Store) error

// sealedKinds is everything that an organization's key seals.
func sealedKinds(organizationID uuid.UUID, prefix []byte) []sealedKind {
	r := resealer{organizationID, prefix}
	return []sealedKind{
		{func(d *Resealed) *int { return &d.States }, r.states},
		{func(d *Resealed) *int { return &d.States }, r.lostStates},
		{func(d *Resealed) *int { return &d.Variables }, r.variables},
		{func(d *Resealed) *int { return &d.HandOuts }, r.handOuts},
		{func(d *Resealed) *int { return &d.DryRuns }, r.dryRuns},
		{func(d *Resealed) *int { return &d.Resources }, r.resources},
		{func(d *Resealed) *int { return &d.Agents }, r.agents},
	}
}

type resealer struct {
	organizationID uuid.UUID
	prefix         []byte
}

func (r resealer) again(ctx context.Context, tx *Store, purpose string, sealed []byte) ([]byte, error) {
	if bytes.HasPrefix(sealed, r.prefix) {
		return sealed, nil
	}
	plain, err := tx.Unseal(ctx, r.organizationID, purpose, sealed)
	if err != nil {
		return nil, err
	}
	return tx.Seal(ctx, r.organizationID, purpose, plain)
}

func (r resealer) states(ctx context.Context, s *Store) ([]resealStep, error) {
	rows, err := s.ListStatesSealedOtherwise(ctx, ListStatesSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, row := range rows {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			data, err := tx.GetWorkspaceStateData(ctx, GetWorkspaceStateDataParams{OrganizationID: r.organizationID, WorkspaceID: row.WorkspaceID, Fence: row.Fence, N: row.N})
			if IsNotFound(err) {
				return nil // a newer one has replaced it
			}
			if err == nil {
				data, err = r.again(ctx, tx, PurposeState, data)
			}
			if err != nil {
				return err
			}
			return tx.SetWorkspaceStateData(ctx, SetWorkspaceStateDataParams{OrganizationID: r.organizationID, WorkspaceID: row.WorkspaceID, Fence: row.Fence, N: row.N, Data: data})
		})
	}
	return steps, nil
}

// lostStates are of workspaces that the database does not know.
func (r resealer) lostStates(ctx context.Context, s *Store) ([]resealStep, error) {
	ids, err := s.ListReportsSealedOtherwise(ctx, ListReportsSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, id := range ids {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			now, err := tx.GetRecoveryReport(ctx, GetRecoveryReportParams{OrganizationID: r.organizationID, AttemptID: id})
			if err != nil {
				return ignoreMissing(err)
			}
			data, err := r.again(ctx, tx, PurposeState, now.Data)
			if err != nil {
				return err
			}
			return tx.SetReportData(ctx, SetReportDataParams{OrganizationID: r.organizationID, AttemptID: id, Data: data})
		})
	}
	return steps, nil
}

func (r resealer) variables(ctx context.Context, s *Store) ([]resealStep, error) {
	rows, err := s.ListVariablesSealedOtherwise(ctx, ListVariablesSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, row := range rows {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			now, err := tx.GetVariableValues(ctx, GetVariableValuesParams{OrganizationID: r.organizationID, TemplateVersionID: row.TemplateVersionID, Name: row.Name})
			if IsNotFound(err) {
				return nil // an import has written them anew
			}
			if err != nil {
				return err
			}
			p := SetVariableValuesParams{OrganizationID: r.organizationID, TemplateVersionID: row.TemplateVersionID, Name: row.Name}
			if p.Value, err = r.again(ctx, tx, PurposeVariable, now.Value); err != nil {
				return err
			}
			if p.DefaultValue, err = r.again(ctx, tx, PurposeVariable, now.DefaultValue); err != nil {
				return err
			}
			return tx.SetVariableValues(ctx, p)
		})
	}
	return steps, nil
}

func (r resealer) handOuts(ctx context.Context, s *Store) ([]resealStep, error) {
	ids, err := s.ListRepliesSealedOtherwise(ctx, ListRepliesSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, id := range ids {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			now, err := tx.GetAttempt(ctx, id)
			if IsNotFound(err) || err == nil && len(now.Reply) == 0 {
				return nil // it ended
			}
			if err != nil {
				return err
			}
			reply, err := r.again(ctx, tx, PurposeHandOut, now.Reply)
			if err != nil {
				return err
			}
			return tx.SetAttemptReply(ctx, SetAttemptReplyParams{OrganizationID: r.organizationID, ID: id, Reply: reply})
		})
	}
	return steps, nil
}

func (r resealer) dryRuns(ctx context.Context, s *Store) ([]resealStep, error) {
	ids, err := s.ListInputsSealedOtherwise(ctx, ListInputsSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, id := range ids {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			job, err := tx.GetProvisionerJob(ctx, id)
			if err != nil {
				return ignoreMissing(err)
			}
			sealed, err := r.again(ctx, tx, PurposeVariable, job.SealedInput)
			if err != nil {
				return err
			}
			return tx.SetJobSealedInput(ctx, SetJobSealedInputParams{OrganizationID: r.organizationID, ID: id, SealedInput: sealed})
		})
	}
	return steps, nil
}

// Metadata and agents are written once and never change, so that what was
// listed is what is there.
func (r resealer) resources(ctx context.Context, s *Store) ([]resealStep, error) {
	rows, err := s.ListMetadataSealedOtherwise(ctx, ListMetadataSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, row := range rows {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			sealed, err := r.again(ctx, tx, PurposeMetadata, row.Sealed)
			if err != nil {
				return err
			}
			return tx.SetResourceMetadata(ctx, SetResourceMetadataParams{OrganizationID: r.organizationID, ID: row.ID, Metadata: sealed})
		})
	}
	return steps, nil
}

func (r resealer) agents(ctx context.Context, s *Store) ([]resealStep, error) {
	rows, err := s.ListAgentsSealedOtherwise(ctx, ListAgentsSealedOtherwiseParams{OrganizationID: r.organizationID, SealedWith: r.prefix})
	if err != nil {
		return nil, err
	}
	var steps []resealStep
	for _, row := range rows {
		steps = append(steps, func(ctx context.Context, tx *Store) error {
			sealed, err := r.again(ctx, tx, PurposeAgent, row.Sealed)
			if err != nil {
				return err
			}
			return tx.SetAgentSpec(ctx, SetAgentSpecParams{OrganizationID: r.organizationID, ID: row.ID, Spec: sealed})
		})
	}
	return steps, nil
}

func ignoreMissing(err error) error {
	if IsNotFound(err) {
		return nil
	}
	return err
}
