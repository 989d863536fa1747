// Package push drops the bootstrap agent and its seed on hosts by one SSH connection each, and starts it. After that
// the host pulls; nothing connects to it again.
//
// On each host the order is: connect, if need be through jump hosts; verify the host key before anything is sent; log
// in; run one small POSIX shell script (remote.sh) without a terminal. The host says what it is, what it has, what it
// can unpack and what it can fetch with; the answer is one stream of the script itself, the seed and the agent built
// for that architecture. A host fetches the agent over HTTP from the coordinator instead (fetched.go); if it
// can't, it is sent it in the same session. The script verifies the agent's SHA-256, wherever it came from, starts it
// as root (directly, or by "sudo -n" or "doas -n") with the seed's file name, and removes its directory whatever
// happens. A password goes to sudo's standard input once sudo has said that it wants one. Only where a terminal is
// insisted on a second channel of the same connection gets one.
//
// The seed holds a join token. It and passwords travel on standard input only: never in an argument, a variable of the
// environment, an event or an error. What a host prints is hostile: it is bounded, and escaped before it appears in a
// message.
package push
