package late

import (
	"bytes"
	"strconv"

	"muster/internal/manifest"
)

// MaxInput is the longest text that can be bound, MaxOutput the longest that it can become.
const (
	MaxInput  = 1 << 20
	MaxOutput = 4 << 20
)

// Refs gives the late values that a table references, each once, in the order of the slots.
func Refs(t manifest.LateTable) []string { return refs(t, func(string) bool { return true }) }

// Missing gives the late values that a table references and that have no value yet. A host's plan is released when
// there are none.
func Missing(t manifest.LateTable, v Values) []string {
	return refs(t, func(ref string) bool { _, ok := v[ref]; return !ok })
}

func refs(t manifest.LateTable, keep func(string) bool) []string {
	var found []string
	seen := make(map[string]bool, len(t.Slots))
	for _, slot := range t.Slots {
		if !seen[slot.Ref] && keep(slot.Ref) {
			found = append(found, slot.Ref)
		}
		seen[slot.Ref] = true
	}
	return found
}

// Binder puts values in the place of placeholders, in any number of texts.
type Binder struct {
	marker []byte
	slots  []boundSlot
}

// boundSlot is what a slot becomes, once its value is known.
type boundSlot struct {
	ref   string
	known bool
	text  string
}

// Bind binds one text. See Binder.Bind.
func Bind(t manifest.LateTable, v Values, in []byte) ([]byte, error) {
	b, err := NewBinder(t, v)
	if err != nil {
		return nil, err
	}
	return b.Bind(in)
}

// NewBinder checks the table and the values and encodes what each slot becomes. A slot may have no value yet, as the
// roster has none at preflight; a text that uses it is not bound.
func NewBinder(t manifest.LateTable, v Values) (*Binder, error) {
	if !validMarker(t.Marker) {
		return nil, damagedTable("its marker is " + quote(t.Marker))
	}
	if len(t.Slots) > maxSlots {
		return nil, damagedTable("it has " + strconv.Itoa(len(t.Slots)) + " slots, more than " + strconv.Itoa(maxSlots))
	}
	if err := Validate(v); err != nil {
		return nil, err
	}
	b := &Binder{marker: []byte(t.Marker), slots: make([]boundSlot, len(t.Slots))}
	for i, slot := range t.Slots {
		if _, ok := parseRef(slot.Ref); !ok {
			return nil, unknownRef(slot.Ref)
		}
		if len(slot.Encode) > maxChain {
			return nil, damagedTable("slot " + strconv.Itoa(i) + " has too many encoders")
		}
		value, known := v[slot.Ref]
		b.slots[i] = boundSlot{ref: slot.Ref, known: known}
		if !known {
			continue
		}
		var err error
		if b.slots[i].text, err = Encode(plainOf(slot.Ref, value), slot.Encode); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Bind gives the text with a value for each placeholder. It reads the text once and never what it has put in. A
// placeholder that is malformed, or whose slot the table lacks, is an error, and so is a result that would hold the
// marker: what Bind returns has no placeholder left.
func (b *Binder) Bind(in []byte) ([]byte, error) {
	if len(in) > MaxInput {
		return nil, tooLong("the text to bind", len(in), MaxInput)
	}
	out := make([]byte, 0, len(in)+len(in)/8)
	for rest := in; ; {
		at := bytes.Index(rest, b.marker)
		if at < 0 {
			out = append(out, rest...)
			break
		}
		after := rest[at+len(b.marker):]
		slot, length, ok := slotNumber(after)
		if !ok || slot >= len(b.slots) {
			return nil, placeholderError(in, len(in)-len(rest)+at, slot, ok)
		}
		if s := b.slots[slot]; !s.known {
			return nil, &Error{"late value ." + s.ref + " has no value yet", "the plan must wait until it is known"}
		}
		out = append(append(out, rest[:at]...), b.slots[slot].text...)
		if len(out) > MaxOutput {
			break
		}
		rest = after[length:]
	}
	if len(out) > MaxOutput {
		return nil, tooLong("the bound text", len(out), MaxOutput)
	}
	// What surrounds a value can only complete a marker with intent; it does not get out either.
	if at := bytes.Index(out, b.marker); at >= 0 {
		return nil, &Error{"line " + lineOf(out, at) + " holds a placeholder again after binding", tamperedRemedy}
	}
	return out, nil
}

// BindString is Bind for a short text, such as an argument of a check.
func (b *Binder) BindString(in string) (string, error) {
	out, err := b.Bind([]byte(in))
	return string(out), err
}

const tamperedRemedy = "the artifact and its manifest do not belong together: generate again, and check who can write to the artifacts"

func placeholderError(in []byte, at, slot int, wellFormed bool) error {
	if !wellFormed {
		return &Error{"line " + lineOf(in, at) + " has a malformed placeholder", tamperedRemedy}
	}
	return &Error{"line " + lineOf(in, at) + " has a placeholder of slot " + strconv.Itoa(slot) + ", which the manifest does not list", tamperedRemedy}
}

func damagedTable(what string) error {
	return &Error{"the manifest's table of late values is damaged: " + what, "generate the configuration again"}
}

func tooLong(what string, length, limit int) error {
	return &Error{
		what + " has " + strconv.Itoa(length) + " bytes, more than " + strconv.Itoa(limit),
		"large files that are the same on every host belong into a package",
	}
}

func lineOf(text []byte, at int) string {
	return strconv.Itoa(1 + bytes.Count(text[:at], []byte("\n")))
}
