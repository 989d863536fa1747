// Package attest verifies what a cloud says of one of its machines: the instance identity document of AWS EC2, signed
// with the key of a region. A document that Open accepts was made by AWS for the instance that it names; whether that
// instance may join is what Admit says.
//
// It is the coordinator's alone. It must not know of stores, hosts, connections or clocks: the time, the policy and the
// certificates that count come in as values, and there is no way to have it skip a check.
package attest
