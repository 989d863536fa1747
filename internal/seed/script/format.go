package script

import (
	"fmt"
	"strings"
)

// MaxUserData is how many bytes of user-data clouds take (EC2 is the strictest).
const MaxUserData = 16384

// Format is a form of user-data.
type Format string

// The formats. cloud-init takes all but Ignition; it runs the script once per instance and shows its output on the
// console.
const (
	CloudConfig Format = "cloud-config"
	Script      Format = "script"
	// MIME is a multipart message, to which other parts can be added.
	MIME Format = "mime"
	// Ignition is a config of spec 3, for Fedora CoreOS and Flatcar.
	Ignition Format = "ignition"
)

// Formats are all formats, in the order in which help lists them.
var Formats = []Format{CloudConfig, Script, MIME, Ignition}

// program is a script that a host runs at its first boot.
type program struct {
	cluster, title string
	top            *assignments
	body           string
}

func (p program) as(format Format) (text []byte, err error) {
	again := "cloud-init single -n scripts_user --frequency always"
	if format == Ignition {
		again = "systemctl start " + p.unit()
	}
	p.top.set("again", "Then run: "+again)
	code := "#!/bin/sh\n# " + p.title + "\n" + p.top.text.String() + p.body
	switch format {
	case Script:
		text = []byte(code)
	case CloudConfig:
		text = cloudConfig(code)
	case MIME:
		text = p.mime(code)
	case Ignition:
		text, err = p.ignition(code)
	default:
		err = fmt.Errorf("user-data: unknown format %q; the formats are %v", format, Formats)
	}
	if err == nil && len(text) > MaxUserData {
		err = fmt.Errorf("the user-data has %d bytes and clouds take %d: give fewer labels, coordinators or sources", len(text), MaxUserData)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// cloudConfig has the script as an item of text, not a list: it goes into cloud-init's own script as it is, and nothing
// becomes an argument.
func cloudConfig(code string) []byte {
	var b strings.Builder
	b.WriteString("#cloud-config\nruncmd:\n- |\n")
	for line := range strings.Lines(code) {
		b.WriteString(" " + line)
	}
	return []byte(b.String())
}

// boundary stands in no script: a line of one begins with no hyphen.
const boundary = "=muster="

// mime has the script as a part of its own: of two cloud-configs with a runcmd, cloud-init takes one.
func (p program) mime(code string) []byte {
	return []byte("Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\nMIME-Version: 1.0\n\n" +
		"--" + boundary + "\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n" +
		"Content-Disposition: attachment; filename=\"" + p.file() + "\"\n\n" +
		code + "\n--" + boundary + "--\n")
}

func (p program) file() string { return "join-" + p.cluster + ".sh" }
