package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"muster/internal/coordinator"
	"muster/internal/fault"
	"muster/internal/hosts"
	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

const (
	hostsPerPage  = 100
	scannedAtOnce = 500
	eventsShown   = 100
	eventsOfHost  = 20
)

// frame is what stands around each view.
type frame struct {
	Title, Cluster, Config, Bundle, Version string
	Who                                     string
	Time                                    string
}

func (p *page) frame(ctx context.Context, title string, user coordinator.PageUser) (frame, *operatorv1.GetClusterResponse, error) {
	c, err := p.core.ClusterState(ctx)
	if err != nil {
		return frame{}, nil, err
	}
	return frame{
		Title: title, Cluster: show.Safe(c.Name, 64), Config: show.Safe(c.ConfigId, 64), Bundle: show.Safe(c.BundleName, 64), Version: show.Safe(c.BundleVersion, 64),
		Who: show.Safe(user.Actor, 128), Time: p.core.Now().Format("2006-01-02 15:04:05 MST"),
	}, c, nil
}

// scan waits for its turn to look at all there is.
func (p *page) scan(ctx context.Context) (done func(), err error) {
	patience := time.NewTimer(scanPatience)
	defer patience.Stop()
	select {
	case p.scans <- struct{}{}:
		return func() { <-p.scans }, nil
	case <-patience.C:
		return nil, fault.New(fault.Unavailable, "close pages that nobody reads, then try again", "too many pages are being made at once")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *page) showHosts(w http.ResponseWriter, r *http.Request, user coordinator.PageUser) {
	done, err := p.scan(r.Context())
	if err != nil {
		p.fail(w, err)
		return
	}
	defer done()
	f, cluster, err := p.frame(r.Context(), "hosts", user)
	if err != nil {
		p.fail(w, err)
		return
	}
	form := r.URL.Query()
	q := show.Query{Role: form.Get("role"), Phase: form.Get("phase"), Text: form.Get("text"), After: form.Get("after"), Limit: hostsPerPage}
	browse, err := show.NewBrowse(cluster, p.core.Now(), q)
	if err != nil {
		p.fail(w, fault.New(fault.Invalid, "begin at /", "%v", err))
		return
	}
	for token, first := "", true; first || token != ""; first = false {
		if r.Context().Err() != nil {
			return // nobody waits for it any more
		}
		some := p.core.ListHosts(token, scannedAtOnce)
		token = some.NextPageToken
		for _, h := range some.Hosts {
			browse.Add(h)
		}
	}
	list, err := browse.Page()
	if err != nil {
		p.fail(w, err)
		return
	}
	first := url.Values{"role": {q.Role}, "phase": {q.Phase}, "text": {q.Text}}
	next := url.Values{"role": {q.Role}, "phase": {q.Phase}, "text": {q.Text}, "after": {list.Next}}
	var roles []string
	for _, role := range cluster.Roles {
		roles = append(roles, role.Role)
	}
	p.render(w, http.StatusOK, "hosts.html", map[string]any{
		"Frame": f, "Query": q, "Text": show.Safe(q.Text, 200), "Roles": roles, "Phases": show.Phases(), "List": list,
		"First": "/?" + first.Encode(), "Next": "/?" + next.Encode(), "Limit": hostsPerPage,
	})
}

func (p *page) showHost(w http.ResponseWriter, r *http.Request, user coordinator.PageUser) {
	done, err := p.scan(r.Context())
	if err != nil {
		p.fail(w, err)
		return
	}
	defer done()
	f, cluster, err := p.frame(r.Context(), "host", user)
	if err != nil {
		p.fail(w, err)
		return
	}
	host, err := p.core.Describe(r.URL.Query().Get("id"))
	if err != nil {
		p.fail(w, err)
		return
	}
	shown := &operatorv1.GetHostResponse{Host: host}
	var events []*operatorv1.Event
	if host.Push == "" {
		if shown.Reports, err = p.core.Reports(r.Context(), hosts.ID(host.Id)); err != nil {
			p.fail(w, err)
			return
		}
		if events, err = p.events(r.Context(), coordinator.EventFilter{Host: hosts.ID(host.Id)}, eventsOfHost); err != nil {
			p.fail(w, err)
			return
		}
	}
	now := p.core.Now()
	view := show.NewHostView(cluster, shown, now)
	f.Title = view.Name
	p.render(w, http.StatusOK, "host.html", map[string]any{"Frame": f, "Host": view, "Events": show.EventRows(events, now.Location())})
}

func (p *page) showEvents(w http.ResponseWriter, r *http.Request, user coordinator.PageUser) {
	done, err := p.scan(r.Context())
	if err != nil {
		p.fail(w, err)
		return
	}
	defer done()
	f, _, err := p.frame(r.Context(), "events", user)
	if err != nil {
		p.fail(w, err)
		return
	}
	events, err := p.events(r.Context(), coordinator.EventFilter{}, eventsShown)
	if err != nil {
		p.fail(w, err)
		return
	}
	p.render(w, http.StatusOK, "events.html", map[string]any{"Frame": f, "Events": show.EventRows(events, p.core.Now().Location()), "Limit": eventsShown})
}

// events are the newest that the filter chooses, newest first.
func (p *page) events(ctx context.Context, filter coordinator.EventFilter, limit int) ([]*operatorv1.Event, error) {
	found, err := p.core.Events(ctx, filter, limit)
	list := make([]*operatorv1.Event, len(found))
	for i, e := range found {
		list[len(found)-1-i] = &operatorv1.Event{
			Time: timestamppb.New(e.Time), Kind: e.Kind, HostId: string(e.Host), Actor: e.Actor, From: e.From, Message: e.Message,
		}
	}
	return list, err
}
