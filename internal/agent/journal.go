package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"muster/internal/durable"
	"muster/internal/hosts"
)

// journal is what survives a crash: where the host stands, the plan it works on and the reports that the coordinator has
// not acknowledged. It is written before anything is said that depends on it.
type journal struct {
	HostID  hosts.ID    `json:"host_id,omitempty"`
	Phase   hosts.Phase `json:"phase"`
	Attempt uint32      `json:"attempt"`
	// Plan is the one to install, kept so that the host goes on while the coordinator is away. Until it is released
	// there is none.
	Plan     *Plan    `json:"plan,omitempty"`
	Sequence uint64   `json:"sequence"`
	Reports  [][]byte `json:"reports,omitempty"` // muster.sync.v1.Report
	// Leaving is set when nothing more is wanted of this host's bootstrap agent.
	Leaving bool `json:"leaving,omitempty"`
}

func newJournal(id hosts.ID) journal { return journal{HostID: id, Phase: hosts.Enrolled, Attempt: 1} }

// loadJournal reads what an earlier run left. A journal that is damaged, or of somebody who this host is not, begins
// anew: the coordinator knows where the host stands, says what to do and where the counting of reports goes on.
func loadJournal(l Layout, id hosts.ID, log *slog.Logger) (journal, error) {
	j := newJournal(id)
	raw, err := os.ReadFile(l.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		log.Error("the journal is damaged and begun anew; what it had to say is lost", "journal", l.journal(), "error", err)
		return newJournal(id), nil
	}
	if j.HostID != id {
		log.Warn("the journal is of another host and begun anew", "journal", l.journal(), "was", j.HostID)
		return newJournal(id), nil
	}
	return j, nil
}

func (j *journal) save(l Layout) error {
	raw, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return durable.WriteFile(l.journal(), raw, 0o600)
}
