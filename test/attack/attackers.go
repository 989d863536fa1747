package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// attackOutcome is what the attackers met with.
type attackOutcome struct {
	Kinds map[string]*tally
}

// tally is of one kind. Cut are the connections that the coordinator ended, Refused those that it did not let in.
type tally struct {
	Opened, Cut, Refused int64
}

// target is what is attacked.
type target struct{ door, artifacts, blob string }

// kinds are the ways to attack, each with an equal part of the connections. A way returns when its connection has ended.
var kinds = []struct {
	name    string
	connect func(target) string
	ways    []func(context.Context, net.Conn, target) error
}{
	{"5 MiB messages", hostsDoor, []func(context.Context, net.Conn, target) error{hugeMessage}},
	{"half-open", hostsDoor, []func(context.Context, net.Conn, target) error{nothing, halfHandshake, handshakeOnly}},
	{"stream floods", hostsDoor, []func(context.Context, net.Conn, target) error{streamFlood, rapidReset}},
	{"a byte a second", hostsDoor, []func(context.Context, net.Conn, target) error{slowHandshake, slowPreface}},
	{"slow downloads", artifactsDoor, []func(context.Context, net.Conn, target) error{slowRequest, slowReader}},
}

func hostsDoor(t target) string     { return t.door }
func artifactsDoor(t target) string { return t.artifacts }

func attackersPart(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("attackers", flag.ContinueOnError)
	var t target
	flags.StringVar(&t.door, "door", "", "")
	flags.StringVar(&t.artifacts, "artifacts", "", "")
	flags.StringVar(&t.blob, "blob", "", "")
	connections := flags.Int("connections", 0, "")
	pause := flags.Duration("pause", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	out := attackOutcome{Kinds: make(map[string]*tally)}
	for _, k := range kinds {
		out.Kinds[k.name] = &tally{}
	}
	var all sync.WaitGroup
	for i := range *connections {
		kind := kinds[i%len(kinds)]
		way := kind.ways[i/len(kinds)%len(kind.ways)]
		count := out.Kinds[kind.name]
		all.Go(func() {
			for ctx.Err() == nil {
				again(ctx, kind.connect(t), way, t, count)
				wait(ctx, *pause/2+rand.N(*pause/2+1))
			}
		})
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(out)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// again opens one connection and attacks by it until it ends.
func again(ctx context.Context, address string, way func(context.Context, net.Conn, target) error, t target, count *tally) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() == nil {
			atomic.AddInt64(&count.Refused, 1)
		}
		return
	}
	atomic.AddInt64(&count.Opened, 1)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = way(ctx, conn, t)
	_ = conn.Close()
	if ctx.Err() == nil {
		atomic.AddInt64(&count.Cut, 1)
	}
}

// untilCut waits until the other side closes.
func untilCut(conn net.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	return err
}

func nothing(_ context.Context, conn net.Conn, _ target) error { return untilCut(conn) }

func secure(conn net.Conn) *tls.Conn {
	// An attacker does not care who is there.
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
}

// deaf sends and never hears.
type deaf struct{ net.Conn }

var errDeaf = errors.New("deaf")

func (deaf) Read([]byte) (int, error) { return 0, errDeaf }

// halfHandshake makes the coordinator compute its part and never answers.
func halfHandshake(_ context.Context, conn net.Conn, _ target) error {
	_ = secure(deaf{conn}).Handshake()
	return untilCut(conn)
}

func handshakeOnly(ctx context.Context, conn net.Conn, _ target) error {
	c := secure(conn)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	return untilCut(c)
}

// slow sends a byte a second.
type slow struct {
	net.Conn
	ctx context.Context
}

func (s slow) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
		wait(s.ctx, time.Second)
	}
	return len(b), nil
}

func slowHandshake(ctx context.Context, conn net.Conn, _ target) error {
	return secure(slow{conn, ctx}).HandshakeContext(ctx)
}

func slowPreface(ctx context.Context, conn net.Conn, _ target) error {
	c := secure(conn)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	_, err := slow{c, ctx}.Write([]byte(preface))
	return err
}

func slowRequest(ctx context.Context, conn net.Conn, t target) error {
	_, err := fmt.Fprintf(slow{conn, ctx}, "GET %s HTTP/1.1\r\nHost: x\r\nX-Slow: %01000d\r\n\r\n", t.blob, 0)
	return err
}

// slowReader asks for all and takes a byte a second, through the smallest window.
func slowReader(ctx context.Context, conn net.Conn, t target) error {
	_ = conn.(*net.TCPConn).SetReadBuffer(1)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", t.blob); err != nil {
		return err
	}
	for one := make([]byte, 1); ; wait(ctx, time.Second) {
		if _, err := conn.Read(one); err != nil {
			return err
		}
	}
}
