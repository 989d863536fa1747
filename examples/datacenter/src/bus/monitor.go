package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// most is more than a monitor answers to what is asked here.
const most = 64 << 20

// ask fetches a page of a server's monitor. A proxy of the site is not for the loopback interface.
func ask(o options, path string) (int, []byte, error) {
	client := &http.Client{Timeout: o.timeout, Transport: &http.Transport{}}
	response, err := client.Get(o.monitor + path)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, most))
	return response.StatusCode, text, err
}

func health(o options) (string, error) {
	status, text, err := ask(o, "/healthz")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the server is not well: %.200s", text)
	}
	return "the server is well", err
}

// count gives how many routes or leaf nodes a server has. Several connections to one server count once.
func count(o options) (string, error) {
	var page struct {
		Leafs  int `json:"leafnodes"`
		Routes []struct {
			RemoteID string `json:"remote_id"`
		}
	}
	path := map[string]string{"routes": "/routez", "leafs": "/leafz"}[o.args[0]]
	if path == "" {
		return "", fmt.Errorf("%q cannot be counted; routes and leafs can", o.args[0])
	}
	status, text, err := ask(o, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", path, text)
	}
	if err == nil {
		err = json.Unmarshal(text, &page)
	}
	if path == "/leafz" {
		return fmt.Sprint(page.Leafs), err
	}
	servers := map[string]bool{}
	for _, r := range page.Routes {
		servers[r.RemoteID] = true
	}
	return fmt.Sprint(len(servers)), err
}
