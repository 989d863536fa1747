package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FillIn marks the lines of an initial cluster.yaml that have to be completed. Without such a line it loads at once.
const FillIn = "FILL IN"

const fillInMark = "# " + FillIn + ": "

// InitialOptions are what an initial cluster.yaml says that the bundle does not know.
type InitialOptions struct {
	// Bundle is the way from the file's directory to the bundle.
	Bundle string
	// Address is where hosts reach the coordinator; empty if that is left to the operator.
	Address string
}

// Initial writes a cluster.yaml to start from: what is required stands there, everything else is a comment that says
// what it is for. In a line such as #port: 22, what follows the # is what holds already.
func Initial(b *BundleText, o InitialOptions) []byte {
	text := initial(b, o, nil)
	// Conditions can ask for more than the list of required parameters. The loader is asked what is missing, rather
	// than conditions be read here in another way.
	_, problems := ParseSite("cluster.yaml", []byte(text), b)
	lines := strings.Split(text, "\n")
	var notes []string
	for _, p := range problems {
		if p.Warning || p.Line > 0 && p.Line <= len(lines) && strings.Contains(lines[p.Line-1], fillInMark) {
			continue
		}
		note := p.Key + ": " + p.Message
		if !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	if len(notes) > 0 {
		text = initial(b, o, notes)
	}
	return []byte(text)
}

// initialWriter collects lines.
type initialWriter struct{ lines []string }

func (w *initialWriter) line(s string)   { w.lines = append(w.lines, s) }
func (w *initialWriter) blank()          { w.line("") }
func (w *initialWriter) take(s []string) { w.lines = append(w.lines, s...) }

// commentWidth is how long comments get.
const commentWidth = 100

// about writes comments in whole sentences.
func (w *initialWriter) about(indent string, sentences ...string) {
	text := strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), " ")
	for _, line := range fold(text, commentWidth-len(indent)) {
		w.line(indent + "# " + line)
	}
}

// allowed writes what a value may be. No full stop: it may end in a pattern.
func (w *initialWriter) allowed(indent, terms string) {
	if terms != "" {
		w.about(indent, "Allowed: "+terms)
	}
}

// key writes about one of cluster.yaml's own keys.
func (w *initialWriter) key(indent, key string) {
	info, _ := infoOf(key)
	w.about(indent, info.what)
	w.allowed(indent, info.terms)
}

func initial(b *BundleText, o InitialOptions, notes []string) string {
	body := initialBody(b, o, notes)
	w := &initialWriter{}
	w.about("", "The cluster config for "+b.Name+" "+b.Version+".", sentence(b.Summary))
	w.line("#")
	finish := "It is valid as it stands."
	if n := strings.Count(body, fillInMark); n > 0 {
		finish = "It is complete when nothing is left to " + FillIn + "."
	}
	w.about("", finish, "A line such as #port: 22 says what holds already, unless \"No default\" stands above it; "+
		"uncomment it to say something else. `coordinator genconf --check` says what is wrong, `coordinator config explain KEY` what a key does.")
	w.blank()
	return strings.Join(w.lines, "\n") + "\n" + body
}

func initialBody(b *BundleText, o InitialOptions, notes []string) string {
	w := &initialWriter{}
	w.key("", "cluster")
	if name := labelFrom(b.Name); name != "" {
		w.line("cluster: " + flowText(name))
	} else {
		w.line("cluster: " + fillInMark + "the name of the cluster, such as prod")
	}
	w.blank()
	w.key("", "bundle")
	w.line("bundle: " + flowText(o.Bundle))
	w.blank()
	w.line("coordinator:")
	w.key("  ", "coordinator.addresses")
	if o.Address != "" {
		w.line("  addresses: [" + flowText(o.Address) + "]")
	} else {
		w.line("  addresses: " + fillInMark + "where hosts reach the coordinator, such as [10.0.0.1]")
	}
	for _, name := range []string{"http_port", "grpc_port"} {
		info, _ := infoOf("coordinator." + name)
		w.key("  ", info.key)
		w.line("  #" + name + ": " + flow(info.fallback))
	}
	w.blank()
	w.roles(b)
	w.secrets(b)
	w.rest(b)
	w.parameters(b, notes)
	return strings.Join(w.lines, "\n") + "\n"
}

func (w *initialWriter) roles(b *BundleText) {
	w.line("roles:")
	for _, r := range b.Roles {
		w.about("  ", string(r.Name)+": "+r.numberOfHosts()+".", sentence(r.Summary))
		if len(r.Counts) > 1 {
			w.line(fmt.Sprintf("  %s: {count: %d} # %s", flowText(string(r.Name)), usualCount(r.Counts), choice(r.Counts)))
		}
	}
	w.blank()
}

// usualCount is 3 where that is allowed: the least that survives a loss.
func usualCount(counts []int) int {
	if slices.Contains(counts, 3) {
		return 3
	}
	return counts[0]
}

// secrets asks for the values that only the operator has, and says which others may be given. Handing them over by hand is
// what needs no further file.
func (w *initialWriter) secrets(b *BundleText) {
	given, comment := givenSecrets(b.Bundle), "  #"
	if len(given) == 0 {
		// Then the section as a whole is a comment.
		comment = "#  "
	}
	made := madeSecrets(b.Bundle, comment)
	if len(given)+len(made) == 0 {
		return
	}
	w.key("", "secrets")
	if len(given) > 0 {
		w.line("secrets:")
	} else {
		w.line("#secrets:")
	}
	w.take(given)
	w.take(made)
	w.blank()
}

// madeSecrets gives a comment for each secret that the coordinator makes unless the operator has a value.
func madeSecrets(b *Bundle, comment string) []string {
	w := &initialWriter{}
	for _, s := range b.Secrets {
		if s.Generate != nil && !s.PerHost {
			w.about("  ", sentence(s.Summary), "The coordinator makes the value, unless you have one.")
			w.line(comment + flowText(s.Name) + ": {set: true}")
		}
	}
	return w.lines
}

// givenSecrets gives an entry for each secret that the bundle leaves to the operator.
func givenSecrets(b *Bundle) []string {
	w := &initialWriter{}
	for _, s := range b.Secrets {
		if s.Given != nil {
			w.about("  ", sentence(s.Summary), "Hand it over with `coordinator secret set "+s.Name+"`, or write {file: path} or {env: NAME}.")
			w.line("  " + flowText(s.Name) + ": {set: true}")
		}
	}
	return w.lines
}

func (w *initialWriter) rest(b *BundleText) {
	w.key("", "hosts")
	w.line("#hosts:")
	w.line("#  - {address: 10.0.0.11, role: " + flowText(string(b.Roles[0].Name)) + "}")
	w.blank()
	w.key("", "address")
	w.line("#address: {cidr: 10.0.0.0/8}")
	w.blank()
	w.key("", "endpoint")
	w.line("#endpoint: api.example.com")
	w.blank()
	w.key("", "discovery")
	w.line("#discovery: " + string(DiscoveryCoordinator))
	w.blank()
	w.key("", "resident")
	w.line("#resident: false")
	w.blank()
	w.key("", "signing")
	w.about("", "`coordinator key generate` makes a key and prints its public half.")
	w.line("#signing:")
	w.line("#  keys: [keys/operator.pub]")
	info, _ := infoOf("signing.expires")
	w.line("#  expires: " + flow(info.fallback))
	w.blank()
	w.key("", "attestation")
	w.line("#attestation:")
	w.line("#  aws:")
	w.line("#    policies:")
	w.line("#      " + flowText(string(b.Roles[0].Name)) + "s: {role: " + flowText(string(b.Roles[0].Name)) +
		`, accounts: ["123456789012"], regions: [eu-central-1], images: [ami-0123456789abcdef0]}`)
	w.blank()
	w.about("", "How `coordinator push` logs in. Keys are given on its command line.")
	w.line("#ssh:")
	w.line("#  user: " + defaultSSHUser)
	w.line(fmt.Sprintf("#  port: %d", defaultSSHPort))
	w.blank()
}

func (w *initialWriter) parameters(b *BundleText, notes []string) {
	top := b.parametersText().top()
	lines, _ := block{}.write(top)
	if len(lines) == 0 && len(notes) == 0 {
		w.line("# The bundle has no parameters.")
		return
	}
	w.about("", "The settings of "+b.Name+". What is not said has the default that is shown.")
	for _, note := range notes {
		w.line(fillInMark + printable(note))
	}
	// Nothing but comments below it is no value, and here that is allowed.
	w.line("parameters:")
	w.take(indented(lines, "  "))
}

func indented(lines []string, indent string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if line != "" {
			line = indent + line
		}
		out[i] = line
	}
	return out
}

// maxNesting is how deep mappings are written out; what is deeper is one value.
const maxNesting = 6

// block is a mapping whose properties are written.
type block struct {
	// given are the entries that the default of the mapping has.
	given map[string]any
	// comment says that the mapping as a whole is a comment. Then what has a default stands in it, so that it is
	// there when the comment is made none.
	comment bool
	depth   int
	// above are the schemas around, to notice one that contains itself.
	above []map[string]any
}

// write gives the lines, and says how many entries are not comments.
func (b block) write(v view) (lines []string, live int) {
	b.above = append(slices.Clip(b.above), v.raw)
	for _, name := range v.properties() {
		p, ok := v.property(name)
		if !ok || slices.ContainsFunc(b.above, func(m map[string]any) bool { return sameMap(m, p.raw) }) {
			continue
		}
		value, _, hasDefault := p.fallback()
		if own, ok := b.given[name]; ok {
			value, hasDefault = own, true
		}
		isLive := v.requires(name) && !hasDefault || b.comment && hasDefault
		if p.secret() && hasDefault {
			isLive = false
		}
		entry := b.entry(p, name, value, hasDefault, isLive)
		if isLive {
			live++
		} else {
			entry = indented(entry, "#")
		}
		lines = append(append(lines, comments(p, hasDefault || isLive)...), entry...)
	}
	return lines, live
}

// comments are what the publisher says of a property.
func comments(p view, settled bool) []string {
	var deprecated, note string
	if d, _ := p.word("deprecated"); d == true {
		deprecated = "Deprecated."
	}
	if p.secret() {
		note = "A secret: commands never show it."
	}
	if !settled {
		note += " No default."
	}
	w := &initialWriter{}
	w.about("", sentence(p.description()), deprecated, note)
	w.allowed("", p.terms())
	return w.lines
}

// entry gives the lines of one property.
func (b block) entry(p view, name string, value any, hasDefault, live bool) []string {
	key := flowText(name) + ":"
	only, hasOnly := p.only()
	switch {
	case p.secret() && live:
		return []string{key + " " + b.mark() + fillIn(p)}
	case p.secret():
		return []string{key}
	case len(p.properties()) > 0 && (!hasDefault || asMap(value) != nil) && b.depth < maxNesting:
		return b.mapping(p, key, asMap(value), hasDefault, !live || b.comment)
	case hasDefault:
		return []string{key + " " + flow(value)}
	case live && hasOnly:
		return []string{key + " " + flow(only)}
	case live:
		return []string{key + " " + b.mark() + fillIn(p)}
	}
	if example, ok := p.example(); ok {
		return []string{key + " " + flow(example)}
	}
	return []string{key}
}

// mark begins what is said of a value that has to be written. In a comment it has to be only for who uncomments it.
func (b block) mark() string {
	if b.comment {
		return "# required: "
	}
	return fillInMark
}

// mapping writes a mapping over several lines.
func (b block) mapping(p view, key string, value map[string]any, hasDefault, comment bool) []string {
	below := block{given: value, comment: comment, depth: b.depth + 1, above: b.above}
	lines, live := below.write(p)
	// A default may have entries that no property describes.
	extra := maps.Clone(value)
	for _, name := range p.properties() {
		delete(extra, name)
	}
	for _, name := range sortedKeys(extra) {
		lines, live = append(lines, flowText(name)+": "+flow(extra[name])), live+1
	}
	if live == 0 {
		key += " {}"
		if !hasDefault {
			key += " # write what is below in the place of {}"
		}
	}
	return append([]string{key}, indented(lines, "  ")...)
}

// fillIn says what to write.
func fillIn(p view) string {
	s := cmp.Or(p.terms(), "a value")
	if list, ok := p.word("examples"); ok {
		if values, ok := list.([]any); ok && len(values) > 0 {
			s += ", such as " + show(values[0])
		}
	}
	return printable(s)
}

// labelFrom makes a cluster's name of any text; empty if nothing is left.
func labelFrom(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	s = strings.Trim(b.String()[:min(b.Len(), maxClusterName)], "-")
	if slices.Contains(reservedClusters, s) {
		return ""
	}
	return s
}

// sentence ends one.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
