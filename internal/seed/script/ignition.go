package script

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// ignitionConfig is as much of a config as is needed here (Ignition, configuration specification v3.0.0).
type ignitionConfig struct {
	Ignition struct {
		Version string `json:"version"`
	} `json:"ignition"`
	Storage struct {
		Files []ignitionFile `json:"files"`
	} `json:"storage"`
	Systemd struct {
		Units []ignitionUnit `json:"units"`
	} `json:"systemd"`
}

type ignitionFile struct {
	Path     string           `json:"path"`
	Mode     int              `json:"mode"`
	Contents ignitionContents `json:"contents"`
}

type ignitionContents struct {
	Source       string `json:"source"`
	Compression  string `json:"compression"`
	Verification struct {
		// Hash is of what is unpacked.
		Hash string `json:"hash"`
	} `json:"verification"`
}

type ignitionUnit struct {
	Name     string `json:"name"`
	Enabled  bool   `json:"enabled"`
	Contents string `json:"contents"`
}

func (p program) unit() string { return "join-" + p.cluster + ".service" }

// ignition has the script as a file that only root can read, and a unit that runs it at each boot until it has gone well:
// then the file goes, and with it the token.
func (p program) ignition(code string) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(code)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	sum := sha512.Sum512([]byte(code))
	path := "/etc/" + p.file()
	file := ignitionFile{Path: path, Mode: 0o600}
	file.Contents.Source = "data:;base64," + base64.StdEncoding.EncodeToString(packed.Bytes())
	file.Contents.Compression = "gzip"
	file.Contents.Verification.Hash = "sha512-" + hex.EncodeToString(sum[:])

	var c ignitionConfig
	c.Ignition.Version = "3.0.0"
	c.Storage.Files = []ignitionFile{file}
	c.Systemd.Units = []ignitionUnit{{Name: p.unit(), Enabled: true, Contents: strings.Join([]string{
		"[Unit]",
		"Description=Join the cluster " + p.cluster,
		"Wants=network-online.target",
		"After=network-online.target",
		"ConditionPathExists=" + path,
		"[Service]",
		"Type=oneshot",
		"ExecStart=/bin/sh " + path,
		"ExecStartPost=/bin/rm -f " + path,
		"TimeoutStartSec=infinity",
		"[Install]",
		"WantedBy=multi-user.target",
		"",
	}, "\n")}}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}
