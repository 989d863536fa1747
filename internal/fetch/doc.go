// Package fetch brings blobs from HTTP sources to a directory. A source may be slow, broken or hostile: nothing gets a
// blob's final name unless it has the size and the SHA-256 of the manifest, so plain HTTP and any mirror will do. The
// package knows nothing of plans, of packages or of what is inside a blob.
//
// A file <digest>.part is what has arrived so far; it survives a crash and is resumed. Sources are hosts of the site, so
// the proxy settings of the environment are not used, redirects are refused and compression is never asked for.
package fetch
