// Package secrets keeps the values of a cluster's secrets: it makes those that are generated, checks those that the
// operator gives, and has all of them in the store encrypted with a key that lies beside it.
//
// Words: a value is the bytes that a host binds; a record is what the store has of a secret, with the value sealed in
// it; the key file holds the identities of age that open it. For a secret that every host has its own value of, the
// record holds a seed, and each host's value is derived from it: 50,000 hosts cost no more than one.
//
// The package knows nothing of who may read what; that is decided by the coordinator. Only the coordinator links it.
package secrets
