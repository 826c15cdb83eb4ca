package tofu

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxDownload is far above any release, and below what would hurt a host.
const maxDownload = 512 << 20

// unpack takes the binary out of a release's archive.
func unpack(archive []byte) ([]byte, error) {
	plain, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("unpack the release: %w", err)
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the release holds no tofu binary")
		}
		if err != nil {
			return nil, fmt.Errorf("unpack the release: %w", err)
		}
		if header.Name != "tofu" || header.Typeflag != tar.TypeReg {
			continue
		}
		if header.Size > maxDownload {
			return nil, fmt.Errorf("unpack the release: tofu has %d bytes", header.Size)
		}
		return io.ReadAll(files)
	}
}

func (o Options) client() *http.Client {
	if o.HTTPClient != nil {
		return o.HTTPClient
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{Transport: limited{transport}}
}

// limited ends bodies that are larger than maxDownload.
type limited struct {
	next http.RoundTripper
}

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxDownload)
	}
	return response, err
}
