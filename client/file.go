package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/google/uuid"
)

// Content types of uploads.
const (
	ContentTypeTar = "application/x-tar"
	ContentTypeZip = "application/zip"
)

// MaxUpload is the size in bytes of the largest archive that the server takes.
const MaxUpload = 100 << 20

// UploadResponse names an uploaded file. The field is called hash; it is an id.
type UploadResponse struct {
	ID uuid.UUID `json:"hash"`
}

// Upload stores an archive; the same bytes from the same user get the same id.
func (c *Client) Upload(ctx context.Context, contentType string, body io.Reader) (UploadResponse, error) {
	return upload[UploadResponse](ctx, c, http.MethodPost, apiPath("files"), contentType, body)
}

// Download reads a stored archive and its content type.
func (c *Client) Download(ctx context.Context, id uuid.UUID) ([]byte, string, error) {
	return c.download(ctx, apiPath("files", id))
}

// DownloadZip reads a stored archive as a zip.
func (c *Client) DownloadZip(ctx context.Context, id uuid.UUID) ([]byte, error) {
	data, _, err := c.download(ctx, withQuery(apiPath("files", id), url.Values{"format": {"zip"}}))
	return data, err
}
