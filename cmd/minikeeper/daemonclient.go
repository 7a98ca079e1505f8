package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/api"
	"github.com/minikeeper/minikeeper/internal/config"
)

// askTimeout bounds one question to the daemon; planning may read large files.
const askTimeout = 5 * time.Minute

// newClient asks the daemon that runs with cfg on this machine, with the token
// in its data_dir.
func newClient(cfg *config.Config) (api.Client, error) {
	token, err := os.ReadFile(tokenFile(cfg))
	if err != nil {
		return api.Client{}, cannotTell(fmt.Errorf("read the daemon's token (has it ever run? may you read it?): %w", err))
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return api.Client{}, wrongAsk(fmt.Errorf("listen %q: %w", cfg.Listen, err))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme, transport := "http", &http.Transport{}
	if cert, err := ownCertificate(cfg.WebConfig); err != nil {
		return api.Client{}, cannotTell(err)
	} else if cert != nil {
		scheme, transport.TLSClientConfig = "https", onlyTrust(cert)
	}
	return api.Client{
		Base:  scheme + "://" + net.JoinHostPort(host, port),
		Token: strings.TrimSpace(string(token)),
		HTTP:  &http.Client{Transport: transport, Timeout: askTimeout},
	}, nil
}

// ownCertificate returns the certificate that web_config has this machine's
// daemon show, in DER; nil if it speaks plain HTTP.
func ownCertificate(webConfig string) ([]byte, error) {
	if webConfig == "" {
		return nil, nil
	}
	src, err := os.ReadFile(webConfig)
	if err != nil {
		return nil, fmt.Errorf("read web_config: %w", err)
	}
	var web struct {
		TLS *struct {
			Cert     string `yaml:"cert"`
			CertFile string `yaml:"cert_file"`
		} `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(src, &web); err != nil {
		return nil, fmt.Errorf("read web_config %s: %w", webConfig, err)
	}
	if web.TLS == nil {
		return nil, nil
	}
	chain := []byte(web.TLS.Cert)
	if web.TLS.CertFile != "" {
		if chain, err = os.ReadFile(beside(webConfig, web.TLS.CertFile)); err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
	}
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, fmt.Errorf("read certificate of %s: it holds no PEM", webConfig)
	}
	return block.Bytes, nil
}

// beside returns path as web_config at file means it: relative to that file.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// onlyTrust accepts the very certificate that lies on this machine, whatever
// name it was made for: we ask by a loopback address.
func onlyTrust(cert []byte) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // verified below, more strictly than by name
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			if len(shown) == 0 || !bytes.Equal(shown[0], cert) {
				return errors.New("what listens there does not show this machine's certificate")
			}
			return nil
		},
	}
}
