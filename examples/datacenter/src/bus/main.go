// Program bus speaks to NATS servers where nothing else is there to do it: for the checks of this bundle, and for people
// on a host. It exits with 1 when what it was asked for did not come about, and says why in one line.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

const usage = `usage:
  bus pass   [FLAGS] --publish URL --subscribe URL   a message published there arrives here
  bus send   [FLAGS] --server URL SUBJECT TEXT       publish a message
  bus listen [FLAGS] --server URL SUBJECT            print the first message that comes
  bus greets [FLAGS] HOST:PORT                       a server says who it is
  bus count  [FLAGS] --monitor URL routes|leafs      how many servers are connected
  bus health [FLAGS] --monitor URL                   the server is well
flags:
  --login FILE     lines user=NAME and password=WORD
  --timeout TIME   such as 5s
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	var o options
	flags := flag.NewFlagSet("bus "+os.Args[1], flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flags.StringVar(&o.publish, "publish", "", "")
	flags.StringVar(&o.subscribe, "subscribe", "", "")
	flags.StringVar(&o.server, "server", "", "")
	flags.StringVar(&o.monitor, "monitor", "", "")
	flags.StringVar(&o.login, "login", "", "")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "")
	_ = flags.Parse(os.Args[2:]) // ends the program when it cannot
	o.args = flags.Args()

	command, ok := commands[os.Args[1]]
	if !ok || len(o.args) != command.args {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	said, err := command.run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bus:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}

// options are what the command line says.
type options struct {
	publish, subscribe, server, monitor, login string
	timeout                                    time.Duration
	args                                       []string
}

var commands = map[string]struct {
	args int
	run  func(options) (string, error)
}{
	"pass": {0, pass}, "send": {2, send}, "listen": {1, listen},
	"greets": {1, greets}, "count": {1, count}, "health": {0, health},
}
