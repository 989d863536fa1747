// Package show is what people see of a cluster: the table of hosts, one host's page, events, live progress, and the same
// as JSON and YAML. It decides the words, the order (what needs a person comes first) and how much fits, and it makes
// every byte that came from a host harmless to a terminal and to a reader. It asks nobody: data in, text out; the clock
// and the width are values, and only Board writes.
//
// The words: a host's standing is where it is sorted and how it is coloured, from failed to done. Lost is a standing and
// no phase: a host that should talk and does not. A push whose host has not joined is shown as a host too.
package show
