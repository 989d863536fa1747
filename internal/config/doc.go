// Package config turns what people write, the publisher's bundle.yaml and the operator's cluster.yaml, into values that
// the rest of Muster can rely on: parsed, checked against each other, defaults filled in. What is wrong is reported all
// at once, each problem with its file, line and column, the offending line and a remedy.
//
// It knows what may be written and what that means. It must not know how templates are rendered, how artifacts are made
// or how anything is reached over the network: it reads the two files, and looks whether the files that a bundle names
// exist, no more.
//
// LoadCluster and LoadBundle read files. ParseCluster and ParseBundle do the same work on bytes and touch no file.
package config
