// Package archive takes files out of the archives that publishers get software in: tar, plain or compressed, and the
// data of Debian packages. What is in an archive is hostile until it has been looked at: names are checked before they
// are used, nothing is written through a link, and there is a bound to everything.
//
// It puts files into a directory that the caller owns and judges nothing else: whether a link or a mode may be in a
// package is the caller's rule. It runs nothing that an archive brings along.
package archive
