package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxPath is the longest path inside a bundle or a generation.
const maxPath = 255

// bundleFiles looks at the files of a bundle. It is nil where only bytes are parsed; then every file exists.
type bundleFiles func(path string) (fs.FileInfo, error)

// path reads the path of something in the bundle's directory and checks its form.
func (p *bundleParser) path(c cursor) (string, bool) {
	s, ok := c.text()
	switch {
	case !ok:
		return "", false
	case len(s) > maxPath || !fs.ValidPath(s) || s == "." || printable(s) != s || strings.Contains(s, `\`):
		c.fail(quote(s)+" is not a path inside the bundle", "write a path relative to bundle.yaml, with slashes and without . and .. parts")
		return "", false
	}
	return s, true
}

// regular reads the path of a file that must be there.
func (p *bundleParser) regular(c cursor) string {
	s, ok := p.path(c)
	if !ok || p.files == nil {
		return s
	}
	switch info, err := p.files(s); {
	case errors.Is(err, fs.ErrNotExist):
		c.fail("the bundle has no file "+quote(s), "add the file to the bundle, or correct the path, which is relative to bundle.yaml")
	case err != nil:
		c.fail(fmt.Sprintf("the file %s cannot be used: %v", quote(s), cause(err)), "make it a readable file that lies in the bundle's directory, links included")
	case !info.Mode().IsRegular():
		c.fail(quote(s)+" is not a regular file", "name a file, not a directory or a device")
	}
	return s
}

// cause drops the path from an error whose message names it already.
func cause(err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// generatedDirs are the directories of a generation that files can go to; units have their own section.
var generatedDirs = []string{"bin", "etc", "lib", "share"}

// hostEnv is written on every host by the bootstrap agent.
const hostEnv = "etc/host.env"

// checkGenerated checks where a file of the generation goes.
func (c cursor) checkGenerated(s string) {
	dir, _, below := strings.Cut(s, "/")
	remedy := "write a relative path below " + choice(generatedDirs) + ", such as etc/app.conf"
	switch {
	case len(s) > maxPath || !fs.ValidPath(s) || printable(s) != s || strings.ContainsAny(s, `\ `):
		c.failKey(quote(s)+" is not a clean relative path", remedy)
	case !below || !slices.Contains(generatedDirs, dir):
		c.failKey(quote(s)+" is not below "+choice(generatedDirs), remedy)
	case s == hostEnv || strings.HasPrefix(s, hostEnv+"/"):
		c.failKey(hostEnv+" is made by Muster itself", "choose another name for the file")
	}
}

// checkNoFileBelowFile finds a path that would have to be a file and a directory.
func checkNoFileBelowFile(c cursor, files []File) {
	paths := make(map[string]bool, len(files))
	for _, f := range files {
		paths[f.Path] = true
	}
	c.named(func(s string, c cursor) {
		for dir := path.Dir(s); len(s) <= maxPath && dir != "." && dir != "/"; dir = path.Dir(dir) {
			if paths[dir] {
				c.failKey(quote(dir)+" is a file as well, so nothing can be below it", "rename one of the two")
				return
			}
		}
	})
}

func lastPart(s string) string { return path.Base(s) }
