package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

// maxState bounds a state that is unpacked, against a row that is not ours.
const maxState = 512 << 20

// PackedState is a compressed Terraform state.
type PackedState []byte

// PackState compresses a Terraform state. It takes longer than sealing, so do
// it before the transaction.
func PackState(state []byte) (PackedState, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress the state: %w", err)
	}
	defer encoder.Close()
	return encoder.EncodeAll(state, nil), nil
}

// SealState seals a state in the transaction that writes it.
func (s *Store) SealState(ctx context.Context, organizationID uuid.UUID, state PackedState) ([]byte, error) {
	return s.Seal(ctx, organizationID, PurposeState, state)
}

// UnsealState reverses SealState and PackState.
func (s *Store) UnsealState(ctx context.Context, organizationID uuid.UUID, sealed []byte) ([]byte, error) {
	packed, err := s.Unseal(ctx, organizationID, PurposeState, sealed)
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
