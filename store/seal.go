package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/internal/seal"
)

// Names of the rows in settings.
const (
	settingDeploymentID = "deployment_id"
)

// Purposes of what is sealed: one kind of secret cannot be passed off as
// another. PurposeSSHKey is sealed for the deployment, by uuid.Nil; the others
// for an organization.
const (
	PurposeState    = "state"
	PurposeVariable = "variable"
	PurposeHandOut  = "hand-out"
	// PurposeMetadata and PurposeAgent are of resources: templates mark
	// metadata as sensitive, and put secrets into the environment of agents.
	PurposeMetadata = "metadata"
	PurposeAgent    = "agent"
	PurposeSSHKey   = "ssh_key"
)

// sealedByNumber is the first byte of what an organization's key has sealed;
// the number of that key follows.
const (
	sealedByNumber = 2
	sealedPrefix   = 5
)

// sealingKey is one of an organization's. Those that were rotated out stay
// until nothing needs them any more.
type sealingKey struct {
	number  uint32
	key     seal.Key
	retired Time // zero for the current one
}

// sealingKeySize is what a key takes in the row of its organization: number,
// key, microseconds.
const sealingKeySize = 4 + 32 + 8

// maxSealingKeys bounds how many an organization has at a time.
const maxSealingKeys = 8

// keyring keeps keys in memory that the database has wrapped.
type keyring struct {
	// audit is the key of the audit chains; it is set once, by Open.
	audit seal.Key
	// files is that of uploads, and history that of what provisioners keep for
	// the server; they are set once, too.
	files   seal.Key
	history seal.Key

	mu sync.Mutex
	// deployment are all that were given; the database says which is current.
	deployment []seal.Key
	keys       map[uuid.UUID]unwrapped
}

// unwrapped are the keys in one row, newest first.
type unwrapped struct {
	row  []byte
	keys []sealingKey
}

func newKeyring(deployment []seal.Key) *keyring {
	return &keyring{deployment: slices.Clone(deployment), keys: map[uuid.UUID]unwrapped{}}
}

func (k *keyring) deploymentKeys() []seal.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.deployment)
}

func (k *keyring) get(id uuid.UUID) unwrapped {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[id]
}

func (k *keyring) put(id uuid.UUID, u unwrapped) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id] = u
}

func (k *keyring) forget(id uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, id)
}

var errSealOutside = errors.New("seal: only in the transaction that writes what is sealed, so that no rotation of keys comes in between")

// NewSealingKey makes the key of a new organization, wrapped for its row.
func (s *Store) NewSealingKey(ctx context.Context, organizationID uuid.UUID) ([]byte, error) {
	k, err := seal.NewKey()
	if err != nil {
		return nil, err
	}
	return s.wrapKeys(ctx, organizationID, []sealingKey{{number: 1, key: k}})
}

// Seal encrypts a secret of an organization, in a transaction. The purpose
// must be given again to open it. uuid.Nil seals for the deployment.
func (s *Store) Seal(ctx context.Context, organizationID uuid.UUID, purpose string, plain []byte) ([]byte, error) {
	if !s.tx {
		return nil, errSealOutside
	}
	if organizationID == uuid.Nil {
		k, err := s.deploymentKey(ctx)
		if err != nil {
			return nil, err
		}
		return k.Seal(plain, purpose)
	}
	keys, err := s.sealingKeys(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	sealed, err := keys[0].key.Seal(plain, purpose)
	if err != nil {
		return nil, err
	}
	return append(sealedWith(keys[0].number), sealed...), nil
}

// Unseal opens what Seal made.
func (s *Store) Unseal(ctx context.Context, organizationID uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	if organizationID == uuid.Nil {
		return s.openWrapped(ctx, sealed, purpose)
	}
	plain, err := s.openSealed(ctx, organizationID, purpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("unseal %s of organization %s: %w", purpose, organizationID, err)
	}
	return plain, nil
}

// openSealed tries the keys in memory, and where they do not do, those of the
// organization's row.
func (s *Store) openSealed(ctx context.Context, organizationID uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealedPrefix || sealed[0] != sealedByNumber {
		return nil, seal.ErrOpen
	}
	number := binary.BigEndian.Uint32(sealed[1:sealedPrefix])
	keys := s.keys.get(organizationID).keys
	for range 2 {
		for _, k := range keys {
			if k.number != number {
				continue
			}
			if plain, err := k.key.Open(sealed[sealedPrefix:], purpose); err == nil {
				return plain, nil
			}
		}
		var err error
		if keys, err = s.sealingKeys(ctx, organizationID); err != nil {
			return nil, err
		}
	}
	return nil, seal.ErrOpen
}

// sealedWith is how everything begins that the key of a number has sealed.
func sealedWith(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{sealedByNumber}, number)
}

// sealingKeys are those in the organization's row as it is now.
func (s *Store) sealingKeys(ctx context.Context, organizationID uuid.UUID) ([]sealingKey, error) {
	row, err := s.GetSealingKey(ctx, organizationID)
	if IsNotFound(err) {
		s.keys.forget(organizationID)
	}
	if err != nil {
		return nil, fmt.Errorf("find the sealing key of organization %s: %w", organizationID, err)
	}
	return s.unwrap(ctx, organizationID, row)
}

func (s *Store) unwrap(ctx context.Context, organizationID uuid.UUID, row []byte) ([]sealingKey, error) {
	if known := s.keys.get(organizationID); len(row) > 0 && bytes.Equal(known.row, row) {
		return known.keys, nil
	}
	plain, err := s.openWrapped(ctx, row, purposeOrganization(organizationID))
	if err != nil {
		return nil, fmt.Errorf("open the sealing key of organization %s: %w", organizationID, err)
	}
	keys, err := parseSealingKeys(plain)
	if err != nil {
		return nil, fmt.Errorf("open the sealing key of organization %s: %w", organizationID, err)
	}
	s.keys.put(organizationID, unwrapped{row, keys})
	return keys, nil
}

func parseSealingKeys(plain []byte) ([]sealingKey, error) {
	if len(plain) == 0 || len(plain)%sealingKeySize != 0 {
		return nil, seal.ErrOpen
	}
	var keys []sealingKey
	for part := range slices.Chunk(plain, sealingKeySize) {
		k := sealingKey{number: binary.BigEndian.Uint32(part), key: seal.Key(part[4:36])}
		if micro := int64(binary.BigEndian.Uint64(part[36:])); micro != 0 {
			k.retired = At(time.UnixMicro(micro))
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// wrapKeys makes the row of an organization's keys, in a transaction.
func (s *Store) wrapKeys(ctx context.Context, organizationID uuid.UUID, keys []sealingKey) ([]byte, error) {
	if !s.tx {
		return nil, errSealOutside
	}
	var plain []byte
	for _, k := range keys {
		plain = binary.BigEndian.AppendUint32(plain, k.number)
		plain = append(plain, k.key[:]...)
		retired := int64(0)
		if !k.retired.IsZero() {
			retired = k.retired.Micro()
		}
		plain = binary.BigEndian.AppendUint64(plain, uint64(retired))
	}
	deployment, err := s.deploymentKey(ctx)
	if err != nil {
		return nil, err
	}
	return deployment.Seal(plain, purposeOrganization(organizationID))
}
