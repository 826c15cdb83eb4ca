package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"coder/internal/seal"
)

// Names of the rows in settings.
const (
	settingDeploymentID = "deployment_id"
	settingKeyCheck     = "deployment_key_check"
	settingGeneration   = "generation"
)

// keyring keeps unwrapped organization keys in memory.
type keyring struct {
	deployment seal.Key
	// audit is the key of the audit chains; it is set once, by Open.
	audit seal.Key
	mu    sync.Mutex
	keys  map[uuid.UUID]seal.Key
}

func newKeyring(k seal.Key) *keyring {
	return &keyring{deployment: k, keys: map[uuid.UUID]seal.Key{}}
}

// NewSealingKey makes the key of a new organization, wrapped for its row.
func (s *Store) NewSealingKey(organizationID uuid.UUID) ([]byte, error) {
	k, err := seal.NewKey()
	if err != nil {
		return nil, err
	}
	return s.keys.deployment.Seal(k[:], "organization:"+organizationID.String())
}

// Seal encrypts a secret of an organization. The purpose ("state",
// "variable") must be given again to open it; it keeps one kind of secret
// from being passed off as another. uuid.Nil seals for the deployment.
func (s *Store) Seal(ctx context.Context, organizationID uuid.UUID, purpose string, plain []byte) ([]byte, error) {
	k, err := s.sealingKey(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	return k.Seal(plain, purpose)
}

// Unseal opens what Seal made.
func (s *Store) Unseal(ctx context.Context, organizationID uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	k, err := s.sealingKey(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	plain, err := k.Open(sealed, purpose)
	if err != nil {
		return nil, fmt.Errorf("unseal %s of organization %s: %w", purpose, organizationID, err)
	}
	return plain, nil
}

func (s *Store) sealingKey(ctx context.Context, organizationID uuid.UUID) (seal.Key, error) {
	if organizationID == uuid.Nil {
		return s.keys.deployment, nil
	}
	if k, ok := s.keys.get(organizationID); ok {
		return k, nil
	}
	org, err := s.GetOrganization(ctx, organizationID)
	if err != nil {
		return seal.Key{}, fmt.Errorf("find the sealing key of organization %s: %w", organizationID, err)
	}
	raw, err := s.keys.deployment.Open(org.SealingKey, "organization:"+organizationID.String())
	if err != nil || len(raw) != len(seal.Key{}) {
		return seal.Key{}, fmt.Errorf("%w: organization %s was sealed with another one", ErrDeploymentKey, organizationID)
	}
	s.keys.put(organizationID, seal.Key(raw))
	return seal.Key(raw), nil
}

func (k *keyring) get(id uuid.UUID) (seal.Key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[id]
	return key, ok
}

func (k *keyring) put(id uuid.UUID, key seal.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id] = key
}

// checkDeploymentKey refuses a key that did not seal this database, before
// anything is written with it.
func (s *Store) checkDeploymentKey(ctx context.Context) error {
	check, err := s.GetSetting(ctx, settingKeyCheck)
	if IsNotFound(err) {
		check, err = s.putDeploymentKeyCheck(ctx)
	}
	if err != nil {
		return fmt.Errorf("read the check of the deployment key: %w", err)
	}
	sealed, err := hex.DecodeString(check)
	if err == nil {
		_, err = s.keys.deployment.Open(sealed, settingKeyCheck)
	}
	if err != nil {
		return errors.Join(ErrDeploymentKey, errors.New("this database was sealed with another deployment key: give the one it was made with (file deployment.key of its data directory, or CODER_DEPLOYMENT_KEY); without it the Terraform states in it cannot be read"))
	}
	return nil
}

// putDeploymentKeyCheck answers the check that stands afterwards, which is
// another server's when two start on an empty database.
func (s *Store) putDeploymentKeyCheck(ctx context.Context) (string, error) {
	sealed, err := s.keys.deployment.Seal([]byte("deployment key"), settingKeyCheck)
	if err != nil {
		return "", err
	}
	return s.PutSettingOnce(ctx, PutSettingOnceParams{Name: settingKeyCheck, Value: hex.EncodeToString(sealed)})
}
