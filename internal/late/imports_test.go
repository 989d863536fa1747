package late

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestNothingLargeIsImported(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{ join .Imports "\n" }}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	imported := strings.Fields(string(out))
	for _, unwanted := range []string{"text/template", "reflect", "fmt", "net", "net/http", "encoding/json", "os/exec"} {
		if slices.Contains(imported, unwanted) {
			t.Errorf("the package imports %s", unwanted)
		}
	}
}
