package fault_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"muster/internal/fault"
)

var classes = []fault.Class{fault.Invalid, fault.Denied, fault.NotFound, fault.Conflict, fault.Unavailable}

func TestAFaultIsOfItsClassAndOfNoOther(t *testing.T) {
	for _, class := range classes {
		for _, err := range []error{
			fault.New(class, "do this", "it broke"),
			fault.New(class, "do this", "it broke").Because(fs.ErrNotExist),
			fmt.Errorf("on host h1: %w", fault.New(class, "do this", "it broke")),
		} {
			for _, other := range classes {
				if errors.Is(err, other) != (other == class) {
					t.Errorf("a fault of class %q is %q: %v", class, other, errors.Is(err, other))
				}
			}
		}
	}
}

func TestAFaultSaysWhatHappenedAndThenWhy(t *testing.T) {
	plain := fault.New(fault.Conflict, "stop the other one", "port %d on %s", 8080, "h1")
	if got := plain.Error(); got != "port 8080 on h1" {
		t.Errorf("got %q", got)
	}
	if got := plain.Because(fs.ErrExist).Error(); got != "port 8080 on h1: file already exists" {
		t.Errorf("got %q", got)
	}
}

func TestTheCauseIsFound(t *testing.T) {
	err := fmt.Errorf("on host h1: %w", fault.New(fault.Invalid, "do this", "it broke").Because(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}))
	var path *fs.PathError
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path) || path.Path != "x" {
		t.Errorf("%v has lost its cause", err)
	}
	if errors.Is(fault.New(fault.Invalid, "do this", "it broke"), fs.ErrNotExist) {
		t.Error("a fault has a cause that nobody gave it")
	}
}

func TestTheRemedyIsThatOfTheOutermostFault(t *testing.T) {
	inner := fault.New(fault.Unavailable, "wait", "the mirror is away")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a fault has its own", inner, "wait"},
		{"what wraps a fault has the fault's", fmt.Errorf("on host h1: %w", inner), "wait"},
		{"of joined errors, the one that knows", errors.Join(fs.ErrExist, inner), "wait"},
		{"a fault because of a fault has its own", fault.New(fault.Invalid, "push again", "the host").Because(inner), "push again"},
		{"another error has none", fs.ErrExist, ""},
		{"no error has none", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fault.Remedy(c.err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
