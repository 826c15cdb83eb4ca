package cli_test

import (
	"archive/tar"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver of runSQL

	"coder/internal/archive"
)

// Commands of stories about what goes wrong.

// haltServer is the command `halt`: it sends SIGTERM to the newest server,
// which must end with status 0, and writes what it printed to server.out.
func haltServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: halt")
	}
	p := newest(ts)
	err := p.end(syscall.SIGTERM)
	ts.Check(os.WriteFile(ts.MkAbs("server.out"), p.stdout.Bytes(), 0o600))
	if err != nil {
		ts.Fatalf("the server did not end well: %v", err)
	}
}

// loseServer is the command `lose`: it kills the newest server.
func loseServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: lose")
	}
	_ = newest(ts).end(syscall.SIGKILL) // by its signal, of course
}

// website is the command `website NAME`: it starts a web server that answers
// every request with a page, and sets NAME to its URL.
func website(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: website NAME")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><body>Welcome to the hotel</body></html>")
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// runSQL is the command `sql file statement...`: it changes a SQLite database
// behind its server's back.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql file statement")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close() //nolint:errcheck // the statement has been run
	_, err = db.Exec(strings.Join(args[1:], " "))
	ts.Check(err)
}

// tarball is the command `tarball file fault`: it writes an archive that has
// the fault.
func tarball(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tarball file fault")
	}
	good := tar.Header{Name: "main.tf", Mode: 0o600}
	faults := map[string][]tar.Header{
		"parent":   {good, {Name: "../evil.tf", Mode: 0o600}},
		"absolute": {good, {Name: "/etc/evil.tf", Mode: 0o600}},
		"link":     {{Name: "main.tf", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		"hardlink": {good, {Name: "copy.tf", Typeflag: tar.TypeLink, Linkname: "main.tf"}},
		"device":   {good, {Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 8}},
		"big":      {good, {Name: "blob", Mode: 0o600, Size: archive.MaxTemplate + 1}},
	}
	headers, known := faults[args[1]]
	if !known {
		ts.Fatalf("%q is no fault of an archive", args[1])
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	w := tar.NewWriter(f)
	for _, h := range headers {
		ts.Check(w.WriteHeader(&h))
		_, err := io.Copy(w, io.LimitReader(zeros{}, h.Size))
		ts.Check(err)
	}
	ts.Check(w.Close())
	ts.Check(f.Close())
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// certificate is the command `certificate name host`: it writes name.pem and
// name.key, a certificate that signs itself, for one host.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate name host")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(args[1]); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{args[1]}
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for file, block := range map[string]*pem.Block{
		".pem": {Type: "CERTIFICATE", Bytes: signed}, ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+file), pem.EncodeToMemory(block), 0o600))
	}
}
