package artifacts

import (
	"fmt"
	"io/fs"

	"muster/internal/config"
	"muster/internal/late"
	"muster/internal/render"
)

// others are the permissions of those who are neither the owner nor of his group.
const others fs.FileMode = 0o007

// secretMode is that of a file with a secret in it whose publisher chose none.
const secretMode fs.FileMode = 0o600

// mayRead says which of the bundle's secrets the role may read.
func mayRead(c *config.Cluster, role config.Role) map[string]bool {
	names := make(map[string]bool, len(c.Bundle.Secrets))
	for _, s := range c.Bundle.Secrets {
		names[s.Name] = s.Readable(role.Name)
	}
	return names
}

// file renders a file. What everybody on the host can read has no secrets.
func (r *roleRenderer) file(f config.File) file {
	mode := fs.FileMode(f.Mode).Perm()
	renderer := r.renderer
	if f.ModeGiven && mode&others != 0 {
		renderer = renderer.WithoutSecrets(&late.Error{
			Message: fmt.Sprintf("a secret cannot be written into %s, which everybody on the host can read (mode %04o)", f.Path, mode),
			Remedy:  `write mode: "0600" for the file in bundle.yaml, or leave mode out`,
		})
	}
	out := file{path: f.Path, mode: mode, content: r.render(renderer, f.Template)}
	if !f.ModeGiven && r.space.HasSecret(out.content) {
		out.mode = secretMode
	}
	return out
}

// unitRenderer has no secrets: systemd shows every unit to everybody, whatever its mode.
func (r *roleRenderer) unitRenderer() *render.Renderer {
	return r.renderer.WithoutSecrets(&late.Error{
		Message: "a secret cannot be written into a unit, which everybody on the host can read",
		Remedy:  "write it into a file of the bundle and name that in LoadCredential= or EnvironmentFile=, or have the program read it",
	})
}

// shownRenderer is for what people are shown.
func shownRenderer(r *render.Renderer) *render.Renderer {
	return r.WithoutSecrets(&late.Error{
		Message: "a secret cannot be used here: the text is shown",
		Remedy:  "say where the value is to be found instead; a check that needs it can be a script",
	})
}
