package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"log"
)

var tlsVersions = map[string]uint16{"tls10": tls.VersionTLS10, "tls11": tls.VersionTLS11, "": tls.VersionTLS12, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13}

var tlsClientAuth = map[string]tls.ClientAuthType{
	"": tls.NoClientCert, "none": tls.NoClientCert, "request": tls.RequestClientCert, "require-any": tls.RequireAnyClientCert,
	"verify-if-given": tls.VerifyClientCertIfGiven, "require-and-verify": tls.RequireAndVerifyClientCert,
}

// listenTLS opens the TLS port with the certificates of the flags.
func listenTLS(ctx context.Context, c Config) (net.Listener, error) {
	config, err := tlsConfig(c)
	if err != nil {
		return nil, err
	}
	l, err := listenOn(ctx, c.TLSAddress, "--tls-address")
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, config), nil
}

func tlsConfig(c Config) (*tls.Config, error) {
	if len(c.TLSCertFiles) == 0 || len(c.TLSCertFiles) != len(c.TLSKeyFiles) {
		return nil, errors.New("TLS needs as many --tls-key-file as --tls-cert-file, at least one of each")
	}
	minVersion, known := tlsVersions[c.TLSMinVersion]
	if !known {
		return nil, fmt.Errorf("--tls-min-version %q is not one of tls10, tls11, tls12, tls13", c.TLSMinVersion)
	}
	clientAuth, known := tlsClientAuth[c.TLSClientAuth]
	if !known {
		return nil, fmt.Errorf("--tls-client-auth %q is not one of none, request, require-any, verify-if-given, require-and-verify", c.TLSClientAuth)
	}
	config := &tls.Config{MinVersion: minVersion, ClientAuth: clientAuth, NextProtos: []string{"h2", "http/1.1"}}
	for i, file := range c.TLSCertFiles {
		pair, err := tls.LoadX509KeyPair(file, c.TLSKeyFiles[i])
		if err != nil {
			return nil, fmt.Errorf("read the certificate %s: %w", file, err)
		}
		config.Certificates = append(config.Certificates, pair)
	}
	if c.TLSClientCA != "" {
		pem, err := os.ReadFile(c.TLSClientCA)
		if err != nil {
			return nil, fmt.Errorf("read --tls-client-ca-file: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--tls-client-ca-file %s holds no certificate", c.TLSClientCA)
		}
	}
	return config, nil
}

// quietLog sends what net/http complains about to the debug log.
func quietLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
