// Package script makes the shell scripts that bring the bootstrap agent to a host: user-data that joins a coordinator,
// user-data that installs without one, and install.sh. All of them pick the architecture, download the bootstrap agent
// with whichever of curl, wget and python3 exists, verify its SHA-256, run it and clean up.
//
// The scripts are POSIX sh and use what a minimal cloud image has. Everything specific to a cluster stands in
// assignments at the top; the code below them is the same for all and lies in the .sh files beside this one.
//
// Only the coordinator links this package.
package script
