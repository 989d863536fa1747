package show

import (
	"fmt"
	"strings"
	"testing"
	"time"

	operatorv1 "muster/proto/muster/operator/v1"
	syncv1 "muster/proto/muster/sync/v1"
)

// Those of a page are all that is kept, however many hosts there are.
func TestBrowseKeepsAFewOfManyHosts(t *testing.T) {
	b, err := NewBrowse(&operatorv1.GetClusterResponse{Roles: []*operatorv1.RoleState{{Role: "agent"}}}, time.Unix(0, 0), Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for i := range 50_000 {
		b.Add(&operatorv1.Host{Id: fmt.Sprintf("h%05d", 50_000-i), Role: "agent", Phase: syncv1.Phase_PHASE_DONE})
		most = max(most, len(b.page.hosts))
	}
	p, err := b.Page()
	if err != nil || most > 500 || len(p.Hosts.Rows) != 100 || p.Hosts.Rows[0].ID != "h00001" || p.Chosen != 50_000 || p.Next == "" {
		t.Errorf("%v; kept %d, shows %d of %d", err, most, len(p.Hosts.Rows), p.Chosen)
	}
}

func TestBrowseCountsByRoleAndPhase(t *testing.T) {
	b, err := NewBrowse(&operatorv1.GetClusterResponse{Roles: []*operatorv1.RoleState{{Role: "master", Counted: 3}, {Role: "agent"}}}, time.Unix(0, 0), Query{Limit: 1, Role: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*operatorv1.Host{
		{Id: "1", Role: "master", Phase: syncv1.Phase_PHASE_DONE}, {Id: "2", Role: "master", Phase: syncv1.Phase_PHASE_FAILED},
		{Id: "3", Role: "agent", Phase: syncv1.Phase_PHASE_DONE}, {Id: "4", Phase: syncv1.Phase_PHASE_ENROLLED}, {Id: "5", Role: "strange", Push: "pushed"},
	} {
		b.Add(h)
	}
	p, err := b.Page()
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, c := range p.Counts {
		said = append(said, fmt.Sprint(c.Role, " ", c.Total, "/", c.Want, c.In))
	}
	const want = "master 2/3 [1 1 0 0]; agent 1/0 [1 0 0 0]; no role yet 1/0 [0 0 1 0]; other 1/0 [0 0 0 1]"
	if got := strings.Join(said, "; "); got != want || strings.Join(p.Phases, " ") != "done failed enrolled pushed" || p.All != 5 || p.Chosen != 1 || p.Next != "" {
		t.Errorf("got %s %v", got, p)
	}
}
