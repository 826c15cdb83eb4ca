package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

const (
	settingFileKey = "file_key"
	purposeFileKey = "file key"
)

// openFileKey reads the key of files, which belong to no organization. It is
// random and wrapped by the deployment key, so that a new deployment key need
// not seal every archive again.
func (s *Store) openFileKey(ctx context.Context) error {
	k, err := s.openSettingKey(ctx, settingFileKey, purposeFileKey)
	s.keys.files = k
	return err
}

// AddFile is InsertFile with the data sealed: the source of a template has
// defaults of sensitive variables, and more.
func (s *Store) AddFile(ctx context.Context, p InsertFileParams) (InsertFileRow, error) {
	sealed, err := s.keys.files.Seal(p.Data, purposeFile(p.ID))
	if err != nil {
		return InsertFileRow{}, err
	}
	p.Data = sealed
	return s.InsertFile(ctx, p)
}

// ReadFile is GetFile with the data in clear.
func (s *Store) ReadFile(ctx context.Context, id uuid.UUID) (File, error) {
	f, err := s.GetFile(ctx, id)
	if err != nil {
		return File{}, err
	}
	if f.Data, err = s.keys.files.Open(f.Data, purposeFile(id)); err != nil {
		return File{}, fmt.Errorf("unseal file %s: %w", id, err)
	}
	return f, nil
}

func purposeFile(id uuid.UUID) string { return "file:" + id.String() }
