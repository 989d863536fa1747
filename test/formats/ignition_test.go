package formats

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/coreos/ignition/v2/config"
	"github.com/coreos/ignition/v2/config/v3_4"
	"github.com/vincent-petithory/dataurl"

	"muster/internal/seed/script"
)

func TestIgnitionTakesTheConfig(t *testing.T) {
	text := userData(t, script.Ignition)
	c, report, err := v3_4.ParseCompatibleVersion(text)
	if err != nil || len(report.Entries) > 0 {
		t.Fatalf("%v: %s", err, report.String())
	}
	if _, report, err := config.Parse(text); err != nil || len(report.Entries) > 0 {
		t.Errorf("as the newest version: %v: %s", err, report.String())
	}
	if len(c.Storage.Files) != 1 || len(c.Systemd.Units) != 1 {
		t.Fatalf("%d files, %d units", len(c.Storage.Files), len(c.Systemd.Units))
	}
	file := c.Storage.Files[0]
	if *file.Mode != 0o600 || *file.Contents.Compression != "gzip" || file.Contents.Verification.Hash == nil {
		t.Errorf("the file is %+v", file)
	}
	data, err := dataurl.DecodeString(*file.Contents.Source)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := gzip.NewReader(bytes.NewReader(data.Data))
	if err != nil {
		t.Fatal(err)
	}
	code, err := io.ReadAll(packed)
	if err != nil || !strings.HasPrefix(string(code), "#!/bin/sh\n") {
		t.Errorf("the script is %q (error %v)", code, err)
	}
	if unit := c.Systemd.Units[0]; !*unit.Enabled || !strings.Contains(*unit.Contents, file.Path) {
		t.Errorf("the unit is %+v", unit)
	}
}

// The test above can fail: what is wrong is reported.
func TestIgnitionRefusesWhatIsSpoiled(t *testing.T) {
	good := string(userData(t, script.Ignition))
	for name, change := range map[string][2]string{
		"a hash of another kind":    {"sha512-", "sha1-"},
		"a hash that is cut off":    {"sha512-", "sha512-0"},
		"a relative path":           {`"/etc/`, `"etc/`},
		"a source that is no URL":   {"data:;base64,", "data;base64,"},
		"an unknown compression":    {`"gzip"`, `"zip"`},
		"a unit with a broken line": {"[Service]", "[Service"},
		"a version of another time": {`"3.0.0"`, `"9.0.0"`},
		"a mode that is impossible": {`"mode":384`, `"mode":99999`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good || !json.Valid([]byte(bad)) {
			t.Fatalf("%s: nothing was changed, or too much", name)
		}
		if _, report, err := v3_4.ParseCompatibleVersion([]byte(bad)); err == nil && len(report.Entries) == 0 {
			t.Errorf("%s is taken", name)
		}
	}
}
