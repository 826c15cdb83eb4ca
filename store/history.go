package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

const (
	settingHistoryKey = "history_key"
	purposeHistoryKey = "history key"
)

// ErrSignature says that a text was not signed by this deployment.
var ErrSignature = errors.New("not signed by this deployment")

// openHistoryKey reads the key of what provisioners keep for the server. It is
// random and wrapped by the deployment key, and so is in every copy of the
// database: what was signed after a copy was taken can be told by the copy.
func (s *Store) openHistoryKey(ctx context.Context) error {
	k, err := s.openSettingKey(ctx, settingHistoryKey, purposeHistoryKey)
	s.keys.history = k
	return err
}

// prunedKept is of how many engine starts of an organization it is known that
// their attempts were pruned: more than one has in the week in which
// provisioners remember them.
const prunedKept = 100_000

// PruneAttempts removes what expired before a time, and returns how many.
func (s *Store) PruneAttempts(ctx context.Context, before Time) (rows int64, err error) {
	err = s.InTx(ctx, func(tx *Store) error {
		if err := tx.RememberPrunedAttempts(ctx, before); err != nil {
			return err
		}
		if rows, err = tx.DeleteExpiredAttempts(ctx, before); err != nil || rows == 0 {
			return err
		}
		return tx.ForgetPrunedAttempts(ctx, prunedKept)
	})
	return rows, err
}

// Sign makes a text of a payload, which anybody can read and nobody else can
// make. The same payload gives the same text.
func (s *Store) Sign(payload []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode(payload) + "." + encode(s.signature(payload))
}

// OpenSigned returns the payload of what Sign made, or ErrSignature.
func (s *Store) OpenSigned(text string) ([]byte, error) {
	first, second, _ := strings.Cut(text, ".")
	payload, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return nil, ErrSignature
	}
	signature, err := base64.RawURLEncoding.DecodeString(second)
	if err != nil || !hmac.Equal(signature, s.signature(payload)) {
		return nil, ErrSignature
	}
	return payload, nil
}

func (s *Store) signature(payload []byte) []byte {
	mac := hmac.New(sha256.New, s.keys.history[:])
	mac.Write(payload)
	return mac.Sum(nil)
}
