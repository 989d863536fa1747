// Package identity is the coordinator's source of identity: a CA whose root can be kept offline, the certificates it
// gives to hosts and to the coordinator's own servers, and the join tokens that a host enrols with.
//
// A certificate says which host somebody is and nothing more; a token record says what a token is good for. The package
// must not know of gRPC, of where tokens and hosts are stored, of phases, or of the roster: it takes the time, and the
// randomness of tokens, as values, and touches no file but those of the CA's directory.
package identity
