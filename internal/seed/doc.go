// Package seed is what a host needs to join and nothing more: where the coordinator is, the CA certificate that it
// must show, the join token or the policy that it joins by, and where the bootstrap agent comes from and what its bytes are. A seed gets to a host by
// SSH or in user-data; package seed/script makes the latter.
//
// A seed with a join token is a secret. It is passed in files of mode 0600 and on standard input, never in an argument, and its
// values print without the token.
//
// The bootstrap agent links this package: standard library only, no files, no network.
package seed
