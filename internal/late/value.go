package late

// Value is a late value, with the encoders that a template gave it. All that can be done with one is printing it.
type Value struct {
	space *Space
	ref   string
	// encode is the chain of encoders, in a form that keeps Value comparable.
	encode string
}

// Host is the host's own late values.
type Host struct{ Name, Address, Index, Zone Value }

// Member is the late values of one member of a counted role.
type Member struct{ Name, Address, Index, Zone Value }

// String gives the placeholder and thereby takes a slot of the space's table.
func (v Value) String() string {
	if v.space == nil {
		return ""
	}
	return placeholder(v.space.marker, v.space.slot(v))
}

// Ref names the late value, as in "Roster.master[0].Address". It is a function because templates can call methods.
func Ref(v Value) string { return v.ref }
