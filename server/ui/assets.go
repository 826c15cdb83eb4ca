package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static
var staticFiles embed.FS

// assetPrefix stands before the paths of what pages load.
const assetPrefix = "/static/"

// assets are the stylesheet, the scripts and the pictures, each under a name
// that carries a hash of its content, so that browsers keep it for good.
type assets struct {
	paths map[string]string // by file name
	files map[string]*asset // by path
}

type asset struct {
	name    string
	content []byte
	zipped  func() []byte
}

func newAssets() (*assets, error) {
	a := &assets{paths: map[string]string{}, files: map[string]*asset{}}
	err := fs.WalkDir(staticFiles, "static", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(file)
		if err != nil {
			return err
		}
		a.add(path.Base(file), content)
		return nil
	})
	return a, err
}

func (a *assets) add(name string, content []byte) {
	sum := sha256.Sum256(content)
	kind := path.Ext(name)
	hashed := assetPrefix + strings.TrimSuffix(name, kind) + "-" + hex.EncodeToString(sum[:6]) + kind
	a.paths[name] = hashed
	a.files[hashed] = &asset{name: name, content: content, zipped: sync.OnceValue(func() []byte { return zip(content) })}
}

func zip(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// path is where a page finds the file of that name.
func (a *assets) path(name string) (string, error) {
	if p, ok := a.paths[name]; ok {
		return p, nil
	}
	return "", fmt.Errorf("there is no static file %q", name)
}

// ServeHTTP answers with a file, packed where the browser takes that.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(file.name)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	content := file.content
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && path.Ext(file.name) != ".png" {
		h.Set("Content-Encoding", "gzip")
		content = file.zipped()
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
