// Package late is for the values that config generation cannot know: the host's own name, address, index and zone, the
// members of the counted roles, the endpoint, and secrets. Generation prints a placeholder in their place; the
// bootstrap agent binds the placeholders to values in one pass.
//
// Words: a ref names a late value ("Host.Name", "Roster.master[0].Address", "Endpoint", "Secret.key"); a slot is a ref
// together with the encoders that follow it; a placeholder is a slot's number between the table's marker and an at sign.
//
// The package is data in, data out. It must not know of template engines, because the bootstrap agent links it and a
// template engine there costs megabytes, nor of files, clocks, the network or the environment.
package late
