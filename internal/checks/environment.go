package checks

import "time"

// Environment is what checks see of the world. Only WorkDir is required.
type Environment struct {
	// Stage selects the checks to run; all if empty.
	Stage Stage
	// WorkDir is where scripts are put, each in a private directory that is removed afterwards.
	WorkDir string
	// Path is where scripts and the probe commands look for programs; the usual system directories if empty.
	Path string
	// Env are pairs MUSTER_X=value for scripts. They get nothing else but PATH and LC_ALL.
	Env []string
	// ClockOffset is the coordinator's clock minus the host's, false if it is not known yet; nil where there is no
	// coordinator, nor a server that could stand in for it.
	ClockOffset func() (time.Duration, bool)
	// Resuming says that this installation has begun before, so that what it has made by now is no obstacle.
	Resuming bool
	// Waiting is told, one call at a time, of every postflight check that is going to be run again.
	Waiting func(Waiting)
	// Parallel is how many checks run at a time, 8 if 0.
	Parallel int
	// RetryEvery is the mean time between two runs of a waiting postflight check, 1 s if 0.
	RetryEvery time.Duration
	// Root is put before /proc and /run; it is for tests.
	Root string
}

// Waiting is a postflight check that is not ok yet.
type Waiting struct {
	Name    string
	Attempt int
	// Last is what the newest run found, Left the time until no further run begins.
	Last Result
	Left time.Duration
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (e Environment) path() string {
	if e.Path == "" {
		return systemPath
	}
	return e.Path
}
