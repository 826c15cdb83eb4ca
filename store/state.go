package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

const purposeState = "state"

// maxState bounds a state that is unpacked, against a row that is not ours.
const maxState = 512 << 20

// SealState compresses and seals a Terraform state.
func (s *Store) SealState(ctx context.Context, organizationID uuid.UUID, state []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress the state: %w", err)
	}
	defer encoder.Close()
	return s.Seal(ctx, organizationID, purposeState, encoder.EncodeAll(state, nil))
}

// UnsealState reverses SealState.
func (s *Store) UnsealState(ctx context.Context, organizationID uuid.UUID, sealed []byte) ([]byte, error) {
	packed, err := s.Unseal(ctx, organizationID, purposeState, sealed)
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxState), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("unpack the state: %w", err)
	}
	defer decoder.Close()
	state, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack the state: %w", err)
	}
	return state, nil
}
