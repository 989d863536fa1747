package manifest

// Valid says whether d is a SHA-256 in lower-case hexadecimal.
func (d Digest) Valid() bool { return validHex(string(d)) }

// Valid says whether id is a digest in lower-case hexadecimal.
func (id ConfigID) Valid() bool { return validHex(string(id)) }

// BlobPath is where a generation has a blob, relative to its directory or URL. The digest must be valid. The two
// digits spread many blobs over directories.
func BlobPath(d Digest) string { return "blobs/" + string(d[:2]) + "/" + string(d) }

func validHex(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// IsLabel says whether s is a DNS label in lower case: up to 63 letters, digits and hyphens, with no hyphen at an end.
// Clusters and roles have such names.
func IsLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// IsName says whether s can name a package, a unit or a check: up to 64 lower-case letters, digits, dots, hyphens and
// underscores, beginning with a letter or digit. Such names fit into paths, unit names and URLs without quoting.
func IsName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z'
		if !plain && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return true
}
