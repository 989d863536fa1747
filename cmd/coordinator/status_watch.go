package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/show"
	operatorv1 "muster/proto/muster/operator/v1"
)

const (
	// redraw is the shortest time between two drawings, refresh how often ages are brought up to date.
	redraw  = 200 * time.Millisecond
	refresh = time.Second
	// reconnect is the pause after a coordinator went away: it is often only restarted.
	reconnect = time.Second
)

// watchHosts shows changes until ctx ends, which is how a person leaves it and no failure.
func watchHosts(ctx context.Context, client operatorv1.OperatorServiceClient, out io.Writer) error {
	err := watchUntil(ctx, client, newBoard(out), func([]*operatorv1.Host) bool { return false })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func newBoard(out io.Writer) *show.Board {
	return show.NewBoard(out, show.IsTerminal(out), func() int { return show.Width(out) })
}

// watchUntil keeps the board drawn until reached says that the hosts are where they should be. It goes on when the
// coordinator is restarted.
func watchUntil(ctx context.Context, client operatorv1.OperatorServiceClient, board *show.Board, reached func([]*operatorv1.Host) bool) error {
	cluster, err := client.GetCluster(ctx, &operatorv1.GetClusterRequest{})
	if err != nil {
		return err
	}
	board.SetCluster(cluster)
	for {
		began, err := watchOnce(ctx, client, board, reached)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !began || !wentAway(err):
			return err
		}
		if err := waitForCoordinator(ctx, client, board); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		board.Restart()
	}
}

// wentAway says if a stream ended because the coordinator did, and not because it refused.
func wentAway(err error) bool {
	code := status.Code(err)
	return errors.Is(err, io.EOF) || code == codes.Unavailable || code == codes.Canceled
}

// watchOnce follows one stream, and says if it ever brought anything. It returns nil when the hosts are where they
// should be.
func watchOnce(ctx context.Context, client operatorv1.OperatorServiceClient, board *show.Board, reached func([]*operatorv1.Host) bool) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.WatchHosts(ctx, &operatorv1.WatchHostsRequest{})
	if err != nil {
		return false, err
	}
	messages, failed := make(chan *operatorv1.WatchHostsResponse), make(chan error, 1)
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case messages <- resp:
			case <-ctx.Done():
				return
			}
		}
	}()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	var drawn time.Time
	news := false
	for {
		select {
		case resp := <-messages:
			board.Apply(resp, time.Now())
			// A half of the first pass would look like hosts that are missing.
			began = began || resp.Complete
			news = began
			if began && reached(board.Hosts()) {
				board.Draw(time.Now())
				return began, nil
			}
		case now := <-tick.C:
			if news || began && now.Sub(drawn) >= refresh {
				board.Draw(now)
				drawn, news = now, false
			}
		case err := <-failed:
			return began, err
		case <-ctx.Done():
			return began, ctx.Err()
		}
	}
}

// waitForCoordinator asks until it answers again.
func waitForCoordinator(ctx context.Context, client operatorv1.OperatorServiceClient, board *show.Board) error {
	board.Notice("the coordinator does not answer; this is how things stood, trying again", time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-time.After(reconnect):
			board.Draw(now)
		}
		cluster, err := client.GetCluster(ctx, &operatorv1.GetClusterRequest{})
		switch {
		case err == nil:
			board.SetCluster(cluster)
			board.Notice("", time.Now())
			return nil
		case ctx.Err() == nil && !wentAway(err):
			return err
		}
	}
}
