// Package sign says whose word on a generation counts. A statement lists what a generation consists of; it travels in a
// DSSE envelope (Dead Simple Signing Envelope, version 1) with signatures by ed25519 keys, and is believed when enough
// of the keys that a reader was told beforehand have signed it, when it is about the reader's cluster, when it has not
// expired and when it is not older than what the reader has seen before.
//
// The unsigned artifacts are the same bytes for the same input. All that depends on time and history, the version and
// the expiry, is in the envelope and nowhere else.
//
// The bootstrap agent links this package. A DSSE library would bring it nothing: the encoding that is signed takes four
// lines, and what remains is to be stricter than the libraries are. Reading and writing private keys is in other files,
// which the agent's linker drops.
package sign
