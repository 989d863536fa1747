package rpc

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

// handshakes are credentials that have shaken hands already.
type handshakes struct {
	credentials.TransportCredentials
	tls.ConnectionState
}

func (h handshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, credentials.TLSInfo{State: h.ConnectionState}, nil
}

func TestAStrangersConnectionEnds(t *testing.T) {
	t.Parallel()
	inside, outside := net.Pipe()
	defer outside.Close()
	conn, _, err := strangerCredentials{handshakes{}, 50 * time.Millisecond, func(net.Addr, error) {}, nil}.ServerHandshake(inside)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestAStrangerIsHeardForSoLongAndNoLonger(t *testing.T) {
	t.Parallel()
	inside, outside := net.Pipe()
	conn, _, err := strangerCredentials{handshakes{}, time.Hour, func(net.Addr, error) {}, nil}.ServerHandshake(inside)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = outside.Write(make([]byte, strangerBytes+1))
	}()
	defer outside.Close()
	var heard bytes.Buffer
	if _, err := heard.ReadFrom(conn); !errors.Is(err, errStranger) || heard.Len() != strangerBytes {
		t.Errorf("%d bytes, %v", heard.Len(), err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
