package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/archive"
	"coder/internal/authz"
	"coder/store"
)

// contentTypeZipOld is what Windows calls a zip.
const contentTypeZipOld = "application/x-zip-compressed"

func (a *api) fileRoutes(r *router) {
	handleRaw(r, post, "/files", "Upload a tar or zip archive", onObject(authz.Create, authz.File), a.uploadFile)
	handleRaw(r, get, "/files/{file}", "Download an archive", onObject(authz.Read, authz.File), a.downloadFile)
}

func fileObject(id, owner uuid.UUID) authz.Object {
	return authz.Object{Type: authz.File, ID: id.String(), OwnerID: owner}
}

// uploadFile stores an archive once for each user: 201 the first time, 200
// when the same user has sent the same bytes before.
func (a *api) uploadFile(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	status, id, err := a.receiveFile(ctx, w, r)
	if err != nil {
		a.writeError(ctx, w, err)
		return
	}
	writeJSON(w, status, client.UploadResponse{ID: id})
}

func (a *api) receiveFile(ctx context.Context, w http.ResponseWriter, r *http.Request) (int, uuid.UUID, error) {
	if !subjectFrom(ctx).Can(authz.Create, authz.Object{Type: authz.File, OwnerID: callerID(ctx)}) {
		return 0, uuid.Nil, errNotFound()
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (kind != client.ContentTypeTar && kind != client.ContentTypeZip && kind != contentTypeZipOld) {
		return 0, uuid.Nil, badRequest(fmt.Sprintf("The content type %q is not that of a template archive; send %s or %s.", r.Header.Get("Content-Type"), client.ContentTypeTar, client.ContentTypeZip))
	}
	data, err := readUpload(w, r)
	if err != nil {
		return 0, uuid.Nil, err
	}
	if data, err = checkedTar(kind, data); err != nil {
		return 0, uuid.Nil, err
	}
	file, added, err := a.storeFile(ctx, data)
	if err != nil {
		return 0, uuid.Nil, fmt.Errorf("store the upload: %w", err)
	}
	if added {
		return http.StatusCreated, file, nil
	}
	return http.StatusOK, file, nil
}

func readUpload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var data bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= client.MaxUpload {
		data.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := data.ReadFrom(http.MaxBytesReader(w, r.Body, client.MaxUpload))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, badRequest(fmt.Sprintf("The archive is larger than %d bytes.", large.Limit))
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "The upload could not be read to its end.", err.Error())
	}
	return data.Bytes(), nil
}

// checkedTar makes a tar of a zip, and refuses an archive that daemons would
// refuse to unpack.
func checkedTar(kind string, data []byte) ([]byte, error) {
	if kind != client.ContentTypeTar {
		var tar bytes.Buffer
		if err := archive.ZipToTar(&tar, bytes.NewReader(data), int64(len(data)), archive.TemplateLimits()); err != nil {
			return nil, archiveRefusal(err)
		}
		data = tar.Bytes()
	}
	entries, err := archive.List(bytes.NewReader(data), archive.TemplateLimits())
	if err != nil {
		return nil, archiveRefusal(err)
	}
	if len(entries) == 0 {
		return nil, badRequest("The archive is empty.")
	}
	return data, nil
}

func archiveRefusal(err error) error {
	var broken *archive.Error
	if errors.As(err, &broken) {
		return refuse(http.StatusBadRequest, "The archive is refused.", broken.Error())
	}
	return err
}

// storeFile keeps a tar for the caller, once.
func (a *api) storeFile(ctx context.Context, tar []byte) (id uuid.UUID, added bool, err error) {
	sum := sha256.Sum256(tar)
	hash := hex.EncodeToString(sum[:])
	known := store.GetFileByHashParams{CreatedBy: callerID(ctx), Hash: hash}
	have, err := a.store.GetFileByHash(ctx, known)
	if !store.IsNotFound(err) {
		return have.ID, false, err
	}
	row, err := a.store.AddFile(ctx, store.InsertFileParams{
		ID: uuid.New(), CreatedBy: known.CreatedBy, Hash: hash, Mimetype: client.ContentTypeTar, Data: tar, CreatedAt: store.At(a.now()),
	})
	if store.IsConflict(err) { // the same upload, at the same time
		have, err = a.store.GetFileByHash(ctx, known)
		return have.ID, false, err
	}
	return row.ID, true, err
}

func (a *api) downloadFile(w http.ResponseWriter, r *http.Request) {
	data, kind, err := a.fileContent(r)
	if err != nil {
		a.writeError(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // the client is gone; nobody is left to tell
}

func (a *api) fileContent(r *http.Request) ([]byte, string, error) {
	id, err := uuid.Parse(r.PathValue("file"))
	if err != nil {
		return nil, "", invalid("file", "%q is not a UUID.", r.PathValue("file"))
	}
	file, err := a.file(r.Context(), id)
	if err != nil {
		return nil, "", err
	}
	switch format := r.URL.Query().Get("format"); format {
	case "":
		return file.Data, file.Mimetype, nil
	case "zip":
		var zip bytes.Buffer
		err := archive.TarToZip(&zip, bytes.NewReader(file.Data), archive.TemplateLimits())
		return zip.Bytes(), client.ContentTypeZip, err
	default:
		return nil, "", invalid("format", "%q is not a format; leave it out for tar, or ask for zip.", format)
	}
}
