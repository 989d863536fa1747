package architecture

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/security.md says by which test each promise is tried. A test that is renamed or deleted is missed here.
func TestEveryTestThatThePageOfSecurityNamesIsThere(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	if err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (strings.HasPrefix(e.Name(), ".") && len(e.Name()) > 2 || e.Name() == "examples"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		tests = append(tests, text...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllSubmatch(page, -1)
	if len(names) < 40 {
		t.Errorf("the page names %d tests", len(names))
	}
	for _, name := range names {
		if !bytes.Contains(tests, []byte("\nfunc "+string(name[1])+"(")) {
			t.Errorf("docs/security.md names %s, which is no test", name[1])
		}
	}
}
