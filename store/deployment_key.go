package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/internal/seal"
)

const (
	settingKeyCheck = "deployment_key_check"
	// settingKeyHistory lists the ids of all deployment keys that this database
	// was ever sealed with, in order; the last is the current one.
	settingKeyHistory = "deployment_key_history"
)

// LearnDeploymentKey adds a key to those that this process can open with.
func (s *Store) LearnDeploymentKey(k seal.Key) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if !slices.Contains(s.keys.deployment, k) {
		s.keys.deployment = append(s.keys.deployment, k)
	}
}

// KnownDeploymentKeys are the ids of the keys that this process has.
func (s *Store) KnownDeploymentKeys() []string {
	var ids []string
	for _, k := range s.keys.deploymentKeys() {
		ids = append(ids, k.ID())
	}
	return ids
}

// UnusedDeploymentKeys are those known keys that this database was never
// sealed with: a rotation may move to one of them.
func (s *Store) UnusedDeploymentKeys(ctx context.Context) ([]seal.Key, error) {
	history, err := s.deploymentKeyHistory(ctx)
	if err != nil {
		return nil, err
	}
	var unused []seal.Key
	for _, k := range s.keys.deploymentKeys() {
		if !slices.Contains(history, k.ID()) {
			unused = append(unused, k)
		}
	}
	return unused, nil
}

// CheckDeploymentKey fails with ErrDeploymentKey when this process lacks the
// key that the database is sealed with now.
func (s *Store) CheckDeploymentKey(ctx context.Context) error {
	_, err := s.deploymentKey(ctx)
	return err
}

// deploymentKey is the key that the database is sealed with now. Who seals
// with it asks in the transaction that writes what was sealed: either that
// transaction comes before a rotation, which then sees the row, or after it.
func (s *Store) deploymentKey(ctx context.Context) (seal.Key, error) {
	check, err := s.GetSetting(ctx, settingKeyCheck)
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the check of the deployment key: %w", err)
	}
	sealed, err := hex.DecodeString(check)
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the check of the deployment key: %w", err)
	}
	for _, k := range s.keys.deploymentKeys() {
		if _, err := k.Open(sealed, settingKeyCheck); err == nil {
			return k, nil
		}
	}
	return seal.Key{}, s.missingDeploymentKey(ctx)
}

// missingDeploymentKey says which key is wanted and what to do.
func (s *Store) missingDeploymentKey(ctx context.Context) error {
	history, err := s.deploymentKeyHistory(ctx)
	if err != nil {
		return errors.Join(ErrDeploymentKey, err)
	}
	wanted := "another deployment key"
	if len(history) > 0 {
		wanted = "the deployment key " + history[len(history)-1]
	}
	return fmt.Errorf("%w: this database is sealed with %s, and given was %s: give the one it is sealed with (file deployment.key of its data directory, or CODER_DEPLOYMENT_KEY), several separated by commas; without it the Terraform states in it cannot be read",
		ErrDeploymentKey, wanted, strings.Join(s.KnownDeploymentKeys(), ", "))
}

func (s *Store) deploymentKeyHistory(ctx context.Context) ([]string, error) {
	text, err := s.GetSetting(ctx, settingKeyHistory)
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of the deployment keys: %w", err)
	}
	var history []string
	if err := json.Unmarshal([]byte(text), &history); err != nil {
		return nil, fmt.Errorf("read the history of the deployment keys: %w", err)
	}
	return history, nil
}

// openDeploymentKey refuses keys that did not seal this database, before
// anything is written with them. A new database is sealed with the first.
func (s *Store) openDeploymentKey(ctx context.Context) error {
	_, err := s.GetSetting(ctx, settingKeyCheck)
	if IsNotFound(err) {
		err = s.InTx(ctx, func(tx *Store) error { return tx.sealNewDatabase(ctx) })
	}
	if err != nil {
		return fmt.Errorf("read the check of the deployment key: %w", err)
	}
	return s.CheckDeploymentKey(ctx)
}

// sealNewDatabase leaves what stands when another server was faster.
func (s *Store) sealNewDatabase(ctx context.Context) error {
	if _, err := s.GetSetting(ctx, settingKeyCheck); !IsNotFound(err) {
		return err
	}
	return s.putDeploymentKey(ctx, s.keys.deploymentKeys()[0], nil)
}

// putDeploymentKey makes a key the current one, after those of the history.
func (s *Store) putDeploymentKey(ctx context.Context, k seal.Key, history []string) error {
	sealed, err := k.Seal([]byte("deployment key"), settingKeyCheck)
	if err != nil {
		return err
	}
	if err := s.PutSetting(ctx, PutSettingParams{Name: settingKeyCheck, Value: hex.EncodeToString(sealed)}); err != nil {
		return err
	}
	return s.PutSetting(ctx, PutSettingParams{Name: settingKeyHistory, Value: JSON(append(history, k.ID()))})
}

// DeploymentKeyRotation says what a rotation has wrapped again.
type DeploymentKeyRotation struct {
	// From and To are ids of keys.
	From, To string
	// Organizations and SSHKeys count what the key has wrapped beside the keys
	// of the audit log and of files.
	Organizations, SSHKeys int
}

// RotateDeploymentKey wraps with another key all that the current one wraps.
// It must be the first step of a transaction. Organizations keep their own
// keys, so no state is touched.
func (s *Store) RotateDeploymentKey(ctx context.Context, to seal.Key) (DeploymentKeyRotation, error) {
	if !s.tx {
		return DeploymentKeyRotation{}, errors.New("rotate the deployment key: only in a transaction")
	}
	if err := s.lockSealed(ctx); err != nil {
		return DeploymentKeyRotation{}, err
	}
	from, err := s.deploymentKey(ctx)
	if err != nil {
		return DeploymentKeyRotation{}, err
	}
	done := DeploymentKeyRotation{From: from.ID(), To: to.ID()}
	if done.Organizations, err = s.rewrapOrganizations(ctx, from, to); err != nil {
		return done, err
	}
	if done.SSHKeys, err = s.rewrapSSHKeys(ctx, from, to); err != nil {
		return done, err
	}
	if err := s.rewrapSettings(ctx, from, to); err != nil {
		return done, err
	}
	history, err := s.deploymentKeyHistory(ctx)
	if err != nil {
		return done, err
	}
	return done, s.putDeploymentKey(ctx, to, history)
}

// lockSealed makes those who change what the deployment key wraps wait. With
// PostgreSQL the rotation would otherwise have to begin anew each time that
// anybody signs in, because that changes a user's row. SQLite has one writer.
func (s *Store) lockSealed(ctx context.Context) error {
	if s.dialect != PostgreSQL {
		return nil
	}
	_, err := s.db.ExecContext(ctx, "LOCK TABLE organizations, users, settings, leases IN SHARE ROW EXCLUSIVE MODE")
	if err != nil {
		return fmt.Errorf("lock what the deployment key wraps: %w", err)
	}
	return nil
}

func (s *Store) rewrapOrganizations(ctx context.Context, from, to seal.Key) (int, error) {
	rows, err := s.ListSealingKeys(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the keys of the organizations: %w", err)
	}
	for _, row := range rows {
		wrapped, err := rewrap(from, to, row.SealingKey, purposeOrganization(row.ID))
		if err != nil {
			return 0, fmt.Errorf("wrap the key of organization %s again: %w", row.ID, err)
		}
		if _, err := s.SetSealingKey(ctx, SetSealingKeyParams{OrganizationID: row.ID, SealingKey: wrapped}); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func (s *Store) rewrapSSHKeys(ctx context.Context, from, to seal.Key) (int, error) {
	rows, err := s.ListSSHKeys(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the SSH keys of users: %w", err)
	}
	for _, row := range rows {
		sealed, err := rewrap(from, to, row.SshPrivateKey, PurposeSSHKey)
		if err != nil {
			return 0, fmt.Errorf("seal the SSH key of user %s again: %w", row.ID, err)
		}
		if err := s.SetSSHPrivateKey(ctx, SetSSHPrivateKeyParams{ID: row.ID, SshPrivateKey: sealed}); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// settingKeys are random keys in settings that the deployment key wraps, with
// their purposes.
func settingKeys() map[string]string {
	return map[string]string{settingAuditKey: purposeAuditKey, settingFileKey: purposeFileKey, settingHistoryKey: purposeHistoryKey}
}

func (s *Store) rewrapSettings(ctx context.Context, from, to seal.Key) error {
	for _, name := range slices.Sorted(maps.Keys(settingKeys())) {
		text, err := s.GetSetting(ctx, name)
		if err != nil {
			return fmt.Errorf("read the setting %s: %w", name, err)
		}
		wrapped, err := hex.DecodeString(text)
		if err == nil {
			wrapped, err = rewrap(from, to, wrapped, settingKeys()[name])
		}
		if err != nil {
			return fmt.Errorf("wrap the setting %s again: %w", name, err)
		}
		if err := s.PutSetting(ctx, PutSettingParams{Name: name, Value: hex.EncodeToString(wrapped)}); err != nil {
			return err
		}
	}
	return nil
}

// openSettingKey reads a key in settings, or makes it on a new database.
func (s *Store) openSettingKey(ctx context.Context, name, purpose string) (seal.Key, error) {
	text, err := s.GetSetting(ctx, name)
	if IsNotFound(err) {
		err = s.InTx(ctx, func(tx *Store) error {
			text, err = tx.newSettingKey(ctx, name, purpose)
			return err
		})
	}
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the setting %s: %w", name, err)
	}
	sealed, err := hex.DecodeString(text)
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the setting %s: %w", name, err)
	}
	raw, err := s.openWrapped(ctx, sealed, purpose)
	if err != nil || len(raw) != len(seal.Key{}) {
		return seal.Key{}, errors.Join(ErrDeploymentKey, fmt.Errorf("the %s was wrapped with another deployment key, or was changed: restore the row %s of the table settings from a backup", purpose, name))
	}
	return seal.Key(raw), nil
}

// newSettingKey answers the key that stands afterwards, which is another
// server's when two start on an empty database.
func (s *Store) newSettingKey(ctx context.Context, name, purpose string) (string, error) {
	k, err := seal.NewKey()
	if err != nil {
		return "", err
	}
	deployment, err := s.deploymentKey(ctx)
	if err != nil {
		return "", err
	}
	sealed, err := deployment.Seal(k[:], purpose)
	if err != nil {
		return "", err
	}
	return s.PutSettingOnce(ctx, PutSettingOnceParams{Name: name, Value: hex.EncodeToString(sealed)})
}

func rewrap(from, to seal.Key, wrapped []byte, purpose string) ([]byte, error) {
	plain, err := from.Open(wrapped, purpose)
	if err != nil {
		return nil, err
	}
	return to.Seal(plain, purpose)
}

// openWrapped opens what a deployment key has wrapped, the current one or an
// earlier one: what was read before a rotation still opens after it.
func (s *Store) openWrapped(ctx context.Context, sealed []byte, purpose string) ([]byte, error) {
	for _, k := range s.keys.deploymentKeys() {
		if plain, err := k.Open(sealed, purpose); err == nil {
			return plain, nil
		}
	}
	if err := s.CheckDeploymentKey(ctx); err != nil {
		return nil, err
	}
	return nil, seal.ErrOpen
}

func purposeOrganization(id uuid.UUID) string { return "organization:" + id.String() }
