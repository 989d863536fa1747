// Package unpack puts the content of a blob, a tar.zst, into a directory. It runs as root on bytes that may come from
// anywhere, so it believes nothing but the blob's digest, size, length and number of entries in the manifest. It knows
// nothing of where blobs come from, what is in them, or what late values are.
//
// A directory exists under its final name only when it is complete and on disk. Before the first file is written, the
// whole blob is compared with its digest and its whole archive is read through.
package unpack
