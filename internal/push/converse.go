package push

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// remoteGrace is how much longer than the coordinator the host waits before it gives up by itself.
const remoteGrace = 30 * time.Second

// conversation is the one channel with the script.
type conversation struct {
	host    *host
	conn    *connection
	client  *ssh.Client
	channel ssh.Channel
	replies *replies
	out     *transcript
	token   string
	unpacks []string
	deliver delivery
	greeted bool // the script said its first word

	uploads   sync.WaitGroup
	uploadErr error // read after uploads are done

	streams sync.WaitGroup
}

// converse runs the script on the host, from the first word to the last.
func (h *host) converse(ctx context.Context, conn *connection) *Error {
	client := conn.Client
	c := &conversation{host: h, conn: conn, client: client, out: &transcript{secret: h.opts.SudoPassword}, token: rand.Text()}
	err := c.run(ctx)
	_ = client.Close() // also ends the goroutines below; all that matters was said
	c.uploads.Wait()
	c.streams.Wait()
	if err == nil {
		return nil
	}
	// The end of ctx closes the connection, which shows as all kinds of errors.
	if ended := h.ended(ctx); ended != nil {
		return ended
	}
	return err
}

func (c *conversation) run(ctx context.Context) *Error {
	c.host.enter(Uploading, nil)
	if c.host.run.limit != nil || c.far() && len(c.host.opts.Sources) == 0 {
		c.host.run.packEarly() // while the session opens
	}
	if err := c.open(); err != nil {
		return err
	}
	words, err := c.expect("host")
	if err != nil {
		return err
	}
	content, err := c.choose(words)
	if err != nil {
		return err
	}
	c.greeted = true
	c.upload(ctx, content)
	if c.deliver.fetcher != "" {
		if err = c.fetched(ctx); err != nil {
			return err
		}
	} else if _, err = c.expect("starting"); err != nil {
		return err
	}
	c.uploads.Wait() // over already, unless the host lies; then its deadline ends it
	c.out.forget()
	c.host.enter(Starting, nil)
	words, err = c.expect("done", "refused")
	switch {
	case err != nil:
		return err
	case words[0] == "done":
		return nil
	}
	return c.notStarted(ctx, words[1:])
}

// open starts the script's first line.
func (c *conversation) open() *Error {
	channel, requests, err := c.client.OpenChannel("session", nil)
	if err != nil {
		return failure(SessionRefused, "no session: %s", printable(err.Error()))
	}
	c.channel = channel
	c.streams.Go(func() { ssh.DiscardRequests(requests) })
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command(scriptSize(c.host.target.Seed, c.host.opts.Sources))}))
	if err != nil || !ok {
		return failure(SessionRefused, "the host runs no command for %s", c.host.target.User)
	}
	c.replies = newReplies(channel, c.out)
	c.streams.Go(func() {
		if errors.Is(c.out.drain(channel.Stderr()), errTooMuchOutput) {
			_ = c.client.Close() // the other stream's reader sees the total and says so
		}
	})
	return nil
}

// expect waits for one of the script's words. Anything else is its failure or its end.
func (c *conversation) expect(wanted ...string) ([]string, *Error) {
	words, err := c.replies.next()
	if err != nil {
		return nil, c.silence(err)
	}
	for _, w := range wanted {
		if words[0] == w {
			return words, nil
		}
	}
	if words[0] == "failed" && len(words) > 1 {
		return nil, c.reported(words[1], printable(strings.Join(words[2:], " ")))
	}
	return nil, failure(BadOutput, "the host says %s where %s was expected", shorten(printable(strings.Join(words, " "))), strings.Join(wanted, " or "))
}

// reported turns what the script says into an error.
func (c *conversation) reported(class, detail string) *Error {
	detail = shorten(detail)
	switch Class(class) {
	case NoSpace:
		return failure(NoSpace, "no room for the bootstrap agent (%d KiB): %s", c.deliver.agent.Size>>10, detail)
	case NoDirectory:
		return failure(NoDirectory, "no directory can take the bootstrap agent: %s", detail)
	case MissingTool:
		return failure(MissingTool, "the host has no %s", detail)
	case SudoMissing:
		return failure(SudoMissing, "%s is not root, and there is neither sudo nor doas", c.host.target.User)
	case CannotRun:
		return failure(CannotRun, "the bootstrap agent ends with status %s when it is tried", detail).because(c.out.tail())
	case UploadFailed:
		if c.out.contains("No space left on device", "Disk quota exceeded") {
			return failure(NoSpace, "the disk became full").because(c.out.tail())
		}
		return failure(UploadFailed, "%s", detail).because(c.out.tail())
	}
	return failure(BadOutput, "the host reports an unknown failure %s", shorten(printable(class)))
}

// silence explains the end of the script's output.
func (c *conversation) silence(err error) *Error {
	if tooMuch := c.out.count(0); tooMuch != nil {
		return failure(BadOutput, "%w", tooMuch).because(c.out.tail())
	}
	_ = c.client.Close() // ends an upload that nobody reads any more
	c.uploads.Wait()
	if c.uploadErr != nil {
		return failure(UploadFailed, "the bootstrap agent can't be read: %w", c.uploadErr).
			remedy("Check the bootstrap agent's file on the coordinator.")
	}
	if !c.greeted {
		return failure(SessionRefused, "the session ended before the script began").because(c.out.tail())
	}
	return failure(UploadFailed, "the connection ended early; it was %s", c.host.current()).because(c.out.tail())
}

// choose decides what to send from what the host says of itself, and returns the agent's content as it goes on the wire.
func (c *conversation) choose(words []string) (io.Reader, *Error) {
	if len(words) != 6 {
		return nil, failure(BadOutput, "the host says %s instead of what it is", shorten(printable(strings.Join(words, " "))))
	}
	arch, known := archOf(words[1], words[2])
	agent, ok := c.host.opts.Agents[arch]
	if !known || !ok {
		return nil, failure(Architecture, "the host is %s on %s; there is a bootstrap agent for Linux on %s",
			shorten(printable(words[1])), shorten(printable(words[2])), c.host.opts.supported())
	}
	c.deliver = delivery{agent: agent}
	c.unpacks = strings.Split(strings.TrimPrefix(words[4], "unpacks="), ",")
	if strings.TrimPrefix(words[3], "has=") == string(agent.Digest) {
		c.deliver.there = true
		return strings.NewReader(""), nil
	}
	if c.deliver.fetcher, c.deliver.fetchPacked = c.fetches(strings.Split(strings.TrimPrefix(words[5], "fetches="), ",")); c.deliver.fetcher != "" {
		return strings.NewReader(""), nil
	}
	return c.onTheWire()
}

// onTheWire is the agent as it is sent: packed wherever the host can unpack it, for to receive costs a host more.
func (c *conversation) onTheWire() (io.Reader, *Error) {
	agent := c.deliver.agent
	if packing := choosePacking(c.unpacks); packing != "" {
		data, err := c.host.run.packs.of(agent, packing)
		if err != nil {
			return nil, failure(UploadFailed, "the bootstrap agent can't be read: %w", err).
				remedy("Check the bootstrap agent's file on the coordinator.")
		}
		c.deliver.packing, c.deliver.wireSize = packing, int64(len(data))
		return bytes.NewReader(data), nil
	}
	c.deliver.wireSize = agent.Size
	return io.NewSectionReader(agent.Content, 0, agent.Size), nil
}

// upload sends script and agent in one stream, while the script's words are read.
func (c *conversation) upload(ctx context.Context, agent io.Reader) {
	limit := c.host.opts.HostTimeout + remoteGrace
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline) + remoteGrace
	}
	c.send(ctx, scriptFor(c.deliver, c.host.target.Seed, c.host.opts.Sources, c.token, limit), agent)
}

// send sends a text and the agent.
func (c *conversation) send(ctx context.Context, text string, agent io.Reader) {
	content := &localReader{r: agent}
	var out io.Writer = c.channel
	if c.host.run.limit != nil {
		out = limitedWriter{ctx, out, c.host.run.limit}
	}
	progress := &progressWriter{w: out, total: int64(len(text)) + c.deliver.wireSize, tell: c.host.tell, last: time.Now()}
	c.uploads.Go(func() {
		_, err := io.Copy(progress, io.MultiReader(strings.NewReader(text), content))
		if err == nil && content.n != c.deliver.wireSize {
			content.err = fmt.Errorf("it has %d bytes instead of %d", content.n, c.deliver.wireSize)
		}
		if content.err != nil {
			c.uploadErr = content.err
			_ = c.channel.Close() // the script ends when its input does
		}
	})
}

// localReader tells an error of the local file from one of the connection.
type localReader struct {
	r   io.Reader
	n   int64
	err error
}

func (l *localReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.n += int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// progressWriter reports a few times a second what was sent.
type progressWriter struct {
	w           io.Writer
	sent, total int64
	last        time.Time
	tell        func(Event)
}

const progressEvery = 250 * time.Millisecond

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.sent += int64(n)
	if now := time.Now(); p.sent == p.total || now.Sub(p.last) >= progressEvery {
		p.last = now
		p.tell(Event{Bytes: p.sent, Total: p.total})
	}
	return n, err
}
