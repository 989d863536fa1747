// Package durable holds file operations that are on disk when they return: after a power failure the path has either
// its old content or its new content, whole. It knows nothing of what the files mean.
//
// While an operation is under way its working name begins with TempPrefix and lies in the same directory. A crash can
// leave such a name behind and nothing else; CleanTemp removes them.
package durable
