package archive

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// ZipToTar turns a zip archive into a tar archive under the same rules as
// Extract. The entries are sorted and carry no times. What was written to w
// is of no use when it returns an error.
func ZipToTar(w io.Writer, r io.ReaderAt, size int64, limits Limits) error {
	in, err := openZip(r, size, limits)
	if err != nil {
		return err
	}
	checks := newChecker(limits)
	files := make([]zipFile, 0, min(len(in.File), limits.Entries))
	for _, f := range in.File {
		entry, err := admitZip(checks, f)
		if err != nil {
			return err
		}
		if entry.Name != "." {
			files = append(files, zipFile{entry, f})
		}
	}
	slices.SortFunc(files, func(a, b zipFile) int { return cmp.Compare(a.entry.Name, b.entry.Name) })
	out := tar.NewWriter(w)
	for _, f := range files {
		if err := f.copyTo(out); err != nil {
			return err
		}
	}
	return out.Close()
}

// openZip reads the list of files. The list is read whole before any entry can
// be counted, so what may be read for it is bounded by what the largest
// allowed one needs.
func openZip(r io.ReaderAt, size int64, limits Limits) (*zip.Reader, error) {
	const perEntry, tail = 1 << 10, 128 << 10
	metered := &meteredReaderAt{r: r, left: int64(limits.Entries)*perEntry + tail, metered: true}
	in, err := zip.NewReader(metered, size)
	if metered.left < 0 {
		return nil, &Error{Rule: RuleEntries, Detail: fmt.Sprintf("at most %d", limits.Entries)}
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, &Error{Rule: RuleFormat, Detail: "zip was expected", Err: err}
	}
	metered.metered = false
	return in, nil
}

type meteredReaderAt struct {
	r       io.ReaderAt
	left    int64
	metered bool
}

func (m *meteredReaderAt) ReadAt(p []byte, offset int64) (int, error) {
	if !m.metered {
		return m.r.ReadAt(p, offset)
	}
	if m.left -= int64(len(p)); m.left < 0 {
		return 0, errFull
	}
	return m.r.ReadAt(p, offset)
}

type zipFile struct {
	entry Entry
	file  *zip.File
}

func admitZip(checks *checker, f *zip.File) (Entry, error) {
	mode := f.Mode()
	entry := Entry{Dir: mode.IsDir(), Exec: mode&0o100 != 0, Size: -1}
	if f.UncompressedSize64 <= 1<<62 {
		entry.Size = int64(f.UncompressedSize64)
	}
	err := checks.admit(f.Name, mode.IsRegular() || mode.IsDir(), &entry)
	return entry, err
}

// copyTo writes one file. The size that the zip declares was checked against
// the limits; a file that unpacks to another size is damaged or a bomb.
func (f zipFile) copyTo(out *tar.Writer) error {
	if err := out.WriteHeader(header(f.entry)); err != nil {
		return err
	}
	if f.entry.Dir {
		return nil
	}
	content, err := f.file.Open()
	if err != nil {
		return &Error{Entry: f.entry.Name, Rule: RuleFormat, Err: err}
	}
	defer content.Close()
	_, err = io.Copy(out, tarContent{content, f.entry.Name})
	if errors.Is(err, tar.ErrWriteTooLong) {
		return &Error{Entry: f.entry.Name, Rule: RuleFormat, Detail: "it unpacks to more bytes than it declares"}
	}
	return err
}

// TarToZip turns a tar archive into a zip archive under the same rules as
// Extract. What was written to w is of no use when it returns an error.
func TarToZip(w io.Writer, r io.Reader, limits Limits) error {
	out := zip.NewWriter(w)
	err := walkTar(r, limits, func(e Entry, content io.Reader) error {
		h := &zip.FileHeader{Name: e.Name, Method: zip.Deflate}
		h.SetMode(fs.FileMode(header(e).Mode))
		if e.Dir {
			h.Name, h.Method = e.Name+"/", zip.Store
			h.SetMode(fs.ModeDir | 0o755)
		}
		file, err := out.CreateHeader(h)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}
