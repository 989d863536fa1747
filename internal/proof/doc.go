// Package proof is what the coordinator and the bootstrap agent must agree on when a host proves who it is: the host's
// name and its place in a certificate, the key and the request for a certificate, the signed transcript of an
// enrolment, and the TLS settings with which a host trusts one CA certificate and nothing else.
//
// It is linked into the bootstrap agent, so it uses only the standard library's crypto. It must not know of tokens, of
// the CA's keys, of roles, of gRPC, or of where anything is stored.
package proof
