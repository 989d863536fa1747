package render

import (
	"bytes"
	"errors"
	"strconv"
	"text/template"

	"muster/internal/late"
)

// MaxOutput is the longest text that a template can be or render: what the host can bind.
const MaxOutput = late.MaxInput

// What one template may do. A template has no business near these limits; they keep a mistake from hanging a
// generation: a range over a huge number, a template that includes itself.
const (
	maxSteps     = 100_000
	maxDepth     = 100
	bytesPerStep = 4096
)

// rootName is the name of a file's own template. It holds no colon, so that positions in error texts can be found
// whatever the file is called.
const rootName = "this file"

// Render executes one template. The file is named in errors. Each error is an *Error.
func (r *Renderer) Render(file string, text []byte) ([]byte, error) {
	if len(text) > MaxOutput {
		return nil, tooLong(file, "the template")
	}
	if _, found := r.space.Find(string(text)); found {
		return nil, &Error{File: file, Message: "the template holds a placeholder of this generation", Remedy: "write {{ .Host.Name }} and so on instead"}
	}
	run := &execution{Renderer: r, file: file, text: string(text), encoders: r.space.Functions()}
	t, err := template.New(rootName).Option("missingkey=error").Funcs(run.encoders).Funcs(r.replaced()).Funcs(arithmetic).Parse(run.text)
	if err != nil {
		return nil, run.parseError(err)
	}
	for _, each := range t.Templates() {
		if each.Tree != nil && each.Root != nil {
			run.rewrite(each.Tree)
		}
	}
	// The checks become known only now, so that no template can call one.
	t.Funcs(run.checks())
	out := &limitedBuffer{}
	if err := t.Execute(out, r.data); err != nil {
		if errors.Is(err, errTooLong) {
			return nil, tooLong(file, "what the template renders")
		}
		return nil, run.execError(err)
	}
	return out.Bytes(), nil
}

// execution is the rendering of one file.
type execution struct {
	*Renderer
	file, text string
	// encoders are the functions that take late values.
	encoders map[string]any
	// steps counts range iterations, included templates and long arguments, depth how far templates are nested.
	steps, depth int
}

func tooLong(file, what string) error {
	return &Error{
		File:    file,
		Message: what + " is longer than " + strconv.Itoa(MaxOutput) + " bytes",
		Remedy:  "large files that are the same on every host belong into a package",
	}
}

var errTooLong = errors.New("output too long")

// limitedBuffer fails the execution as soon as there is too much.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxOutput {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
