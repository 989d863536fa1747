package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// connect gives up at the end of the timeout. Servers that the first one tells of are not tried: the way that is named is
// the one to be tested.
func connect(url string, o options) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name("bus"), nats.Timeout(o.timeout), nats.MaxReconnects(0), nats.IgnoreDiscoveredServers(), nats.DontRandomize(),
	}
	if o.login != "" {
		user, password, err := readLogin(o.login)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.UserInfo(user, password))
	}
	c, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return c, nil
}

// readLogin keeps passwords out of command lines, which everybody on a host can read.
func readLogin(file string) (user, password string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(text)) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); key {
		case "user":
			user = value
		case "password":
			password = value
		}
	}
	if user == "" {
		return "", "", fmt.Errorf("%s has no line user=NAME", file)
	}
	return user, password, nil
}

// pass publishes again and again: servers tell each other of a subscription a moment after it was made.
func pass(o options) (string, error) {
	at, err := connect(o.subscribe, o)
	if err != nil {
		return "", err
	}
	defer at.Close()
	subject := at.NewInbox()
	messages, err := at.SubscribeSync(subject)
	if err == nil {
		err = at.FlushTimeout(o.timeout)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.subscribe, err)
	}
	from, err := connect(o.publish, o)
	if err != nil {
		return "", err
	}
	defer from.Close()
	began := time.Now()
	for time.Since(began) < o.timeout {
		if err := from.Publish(subject, []byte(subject)); err != nil {
			return "", fmt.Errorf("%s: %w", o.publish, err)
		}
		message, err := messages.NextMsg(200 * time.Millisecond)
		if err == nil && string(message.Data) == subject {
			return fmt.Sprintf("a message from %s arrived at %s", o.publish, o.subscribe), nil
		}
		if err != nil && !errors.Is(err, nats.ErrTimeout) {
			return "", fmt.Errorf("%s: %w", o.subscribe, err)
		}
	}
	return "", fmt.Errorf("no message from %s arrived at %s within %v", o.publish, o.subscribe, o.timeout)
}

func send(o options) (string, error) {
	c, err := connect(o.server, o)
	if err != nil {
		return "", err
	}
	defer c.Close()
	err = c.Publish(o.args[0], []byte(o.args[1]))
	if err == nil {
		err = c.FlushTimeout(o.timeout)
	}
	if err == nil {
		err = c.LastError() // such as a permission that is missing
	}
	return "sent", err
}

func listen(o options) (string, error) {
	c, err := connect(o.server, o)
	if err != nil {
		return "", err
	}
	defer c.Close()
	messages, err := c.SubscribeSync(o.args[0])
	if err == nil {
		err = c.FlushTimeout(o.timeout)
	}
	if err != nil {
		return "", err
	}
	message, err := messages.NextMsg(o.timeout)
	if err != nil {
		return "", fmt.Errorf("nothing came on %s within %v: %w", o.args[0], o.timeout, err)
	}
	return string(message.Data), nil
}

// greets reads the line with which every server begins, before anybody has logged in.
func greets(o options) (string, error) {
	c, err := net.DialTimeout("tcp", o.args[0], o.timeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(o.timeout)); err != nil {
		return "", err
	}
	line, err := bufio.NewReaderSize(c, 64<<10).ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("%s says nothing: %w", o.args[0], err)
	}
	if !strings.HasPrefix(string(line), "INFO ") {
		return "", fmt.Errorf("%s is no NATS server: it begins with %.40q", o.args[0], line)
	}
	return "a NATS server greets at " + o.args[0], nil
}
