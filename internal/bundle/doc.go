// Package bundle is a bundle in one file: a tar.zst whose first entry is an index of all others. The file is named by
// its SHA-256, which an operator can pin.
//
// It knows nothing of what is in a bundle. Package artifacts writes such files; package config opens them, so that a file
// can stand wherever a directory can.
package bundle
