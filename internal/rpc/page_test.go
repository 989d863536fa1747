package rpc_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"muster/internal/coordinator"
	operatorv1 "muster/proto/muster/operator/v1"
)

// A link carries the right of whoever asked for it, and no more.
func TestALinkToThePageIsForWhoAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ask := func(client operatorv1.OperatorServiceClient) (coordinator.PageUser, error) {
		resp, err := client.CreatePageLogin(t.Context(), &operatorv1.CreatePageLoginRequest{})
		if err != nil {
			return coordinator.PageUser{}, err
		}
		if left := resp.Expires.AsTime().Sub(start); left != time.Minute {
			t.Errorf("it is good for %v", left)
		}
		_, code, _ := strings.Cut(resp.Link, "http://127.0.0.1:8081/login#")
		return s.core.RedeemPageLogin(t.Context(), code, "127.0.0.1")
	}
	vera := operatorv1.NewOperatorServiceClient(s.connect(s.operate("vera", coordinator.Viewer, time.Hour)))
	if _, err := ask(vera); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "does not serve") {
		t.Errorf("without a page: %v", err)
	}
	s.core.ServePageAt("http://127.0.0.1:8081")
	user, err := ask(vera)
	if err != nil || user.Operator != "vera" || user.Serial == "" || user.Level != coordinator.Viewer || user.Actor != "operator vera (viewer)" {
		t.Errorf("got %+v, %v", user, err)
	}
	if user, err := ask(s.operator); err != nil || user.Operator != "" || user.Level != coordinator.Admin || !strings.HasPrefix(user.Actor, "uid ") {
		t.Errorf("got %+v, %v", user, err)
	}
	if _, err := ask(operatorv1.NewOperatorServiceClient(s.connect(nil))); status.Code(err) != codes.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
}
