package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Encode gives the one form of a manifest: the bytes that its digest is of.
func (m *Manifest) Encode() ([]byte, error) { return encode(m) }

// Encode gives the one form of a generation, as generation.json has it.
func (g *Generation) Encode() ([]byte, error) { return encode(g) }

// DecodeManifest reads what Encode wrote, and validates it. Nothing else is accepted: no unknown, repeated or
// differently spelled key and nothing after the end, so that no two programs can read one manifest differently.
func DecodeManifest(data []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := decode(data, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeGeneration reads a generation.json as strictly as DecodeManifest reads a manifest.
func DecodeGeneration(data []byte) (*Generation, error) {
	g := new(Generation)
	if err := decode(data, g); err != nil {
		return nil, fmt.Errorf("generation: %w", err)
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return g, nil
}

// Decode reads other JSON into v as strictly as DecodeManifest reads a manifest.
func Decode(data []byte, v any) error { return decode(data, v) }

func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows after the end")
	}
	// encoding/json takes repeated keys and keys in other cases, the last one winning. What does not come out again
	// as it went in has one of them.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return err
	}
	again, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(compact.Bytes(), again) {
		return errors.New("not in the form that this version writes: a key is repeated, out of order or spelled differently")
	}
	return nil
}
