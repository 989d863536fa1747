// Command delay makes a near host a far one: it relays TCP connections and holds back every byte for half a round trip in
// each direction, without limiting how many are on the way. It is for measurements; it knows nothing of what it carries.
//
//	delay -rtt 50ms 127.0.0.1:2201=10.77.0.11:22 ...
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	rtt := flag.Duration("rtt", 50*time.Millisecond, "round-trip time that is added")
	flag.Parse()
	for _, pair := range flag.Args() {
		from, to, ok := strings.Cut(pair, "=")
		if !ok {
			fail(fmt.Errorf("%q is not LISTEN=TO", pair))
		}
		l, err := net.Listen("tcp", from)
		if err != nil {
			fail(err)
		}
		go accept(l, to, *rtt)
	}
	fmt.Println("ready")
	select {}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}

func accept(l net.Listener, to string, rtt time.Duration) {
	for {
		near, err := l.Accept()
		if err != nil {
			fail(err)
		}
		go func() {
			defer near.Close()
			time.Sleep(rtt) // what SYN and its answer take
			far, err := net.DialTimeout("tcp", to, 10*time.Second)
			if err != nil {
				return
			}
			defer far.Close()
			done := make(chan struct{}, 2)
			go func() { carry(far, near, rtt/2); done <- struct{}{} }()
			go func() { carry(near, far, rtt/2); done <- struct{}{} }()
			<-done
			<-done
		}()
	}
}

// held is what was read and is due later.
type held struct {
	due  time.Time
	data []byte
}

// inFlight is how many pieces of 32 KiB are on the way at most: 64 MiB, more than any window of TCP or SSH.
const inFlight = 2048

func carry(to, from net.Conn, delay time.Duration) {
	way := make(chan held, inFlight)
	go func() {
		defer close(way)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				way <- held{time.Now().Add(delay), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for h := range way {
		time.Sleep(time.Until(h.due))
		if _, err := to.Write(h.data); err != nil {
			_, _ = io.Copy(io.Discard, from)
			return
		}
	}
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite() // the other direction may go on
	}
}
