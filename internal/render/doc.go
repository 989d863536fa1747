// Package render executes a bundle's templates when a generation is made. A template sees early values (.Param,
// .Cluster, .Role), which vanish into the text, and late ones (.Host, .Roster, .Endpoint, .Secret), which print as
// placeholders. The package sees to it that printing is all that a template does with a late value, and that every error
// says where it is and what to do.
//
// Same input, same bytes: a template reaches no environment, file, clock or random number, and this package must not
// know of any. It is for the coordinator only; the bootstrap agent has no template engine.
package render
