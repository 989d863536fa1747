package cancel_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"muster/internal/cancel"
)

func TestAReaderEndsWithItsContext(t *testing.T) {
	ctx, end := context.WithCancelCause(context.Background())
	r := cancel.Reader(ctx, strings.NewReader("abcdef"))
	b := make([]byte, 3)
	if n, err := io.ReadFull(r, b); n != 3 || err != nil || string(b) != "abc" {
		t.Fatalf("before: %q, %v", b[:n], err)
	}
	enough := errors.New("enough")
	end(enough)
	for range 2 {
		if n, err := r.Read(b); n != 0 || !errors.Is(err, enough) {
			t.Errorf("after: %d bytes, %v", n, err)
		}
	}
}
