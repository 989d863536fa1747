package secrets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"muster/internal/fault"
	"muster/internal/late"
)

// ReadFile reads a value that an operator keeps in a file. A file that others can read is refused: its value has
// to be taken for known.
func ReadFile(name, path string) ([]byte, error) {
	// One byte more, so that Accept says what is wrong with it, and a line end.
	data, err := readPrivate(path, late.MaxSecret+3)
	var open *tooOpen
	switch {
	case errors.As(err, &open):
		return nil, fault.New(fault.Denied, "run chmod 600 "+path+" (and chown it to yourself), and change the value if somebody else may have read it",
			"the file of secret %s, %s, %s", name, path, open.why)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "write the value into it (mode 0600), or use: coordinator secret set "+name,
			"there is no file %s for secret %s", path, name)
	case err != nil:
		return nil, fault.New(fault.Invalid, "make it a readable file of at most 32 KiB", "the file of secret %s cannot be read", name).Because(err)
	}
	return data, nil
}

// ReadEnv reads a value from a variable of this process's environment.
func ReadEnv(name, variable string) ([]byte, error) {
	value, ok := os.LookupEnv(variable)
	if !ok {
		return nil, fault.New(fault.NotFound, "set it for this command alone, or use: coordinator secret set "+name,
			"the variable %s for secret %s is not set", variable, name)
	}
	return []byte(value), nil
}

// Beside gives a path of cluster.yaml from where the command runs.
func Beside(clusterFile, path string) string { return filepath.Join(filepath.Dir(clusterFile), path) }
