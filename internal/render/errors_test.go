package render

import (
	"errors"
	"strings"
	"testing"

	"muster/internal/late"
)

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want\n  %s", want)
	}
	if err.Error() != want {
		t.Fatalf("error\n  %s\nwant\n  %s", err, want)
	}
	var e *Error
	if !errors.As(err, &e) || e.Remedy == "" {
		t.Fatalf("%#v is not an *Error with a remedy", err)
	}
}

func TestLateValuesCanOnlyBePrinted(t *testing.T) {
	for _, c := range []struct{ name, text, place, ref, use string }{
		{"an if", "{{ if .Host.Name }}x{{ end }}", "1:7", "Host.Name", "an if condition"},
		{"an if on another line, after letters of several bytes", "a\n\té {{ if .Host.Name }}x{{ end }}", "2:10", "Host.Name", "an if condition"},
		{"an else if", "{{ if .Param.empty }}{{ else if .Endpoint }}x{{ end }}", "1:33", "Endpoint", "an if condition"},
		{"an else with", "{{ with .Param.empty }}{{ else with .Endpoint }}x{{ end }}", "1:37", "Endpoint", "a with condition"},
		{"an if in an else", "{{ if .Param.empty }}{{ else }}{{ if .Endpoint }}x{{ end }}{{ end }}", "1:38", "Endpoint", "an if condition"},
		{"a with", "{{ with .Host.Zone }}x{{ end }}", "1:9", "Host.Zone", "a with condition"},
		{"a with that declares", "{{ with $x := .Host.Zone }}x{{ end }}", "1:15", "Host.Zone", "a with condition"},
		{"a range", "{{ range .Host.Name }}x{{ end }}", "1:10", "Host.Name", "range"},
		{"an if on a variable", "{{ $x := .Host.Name }}{{ if $x }}y{{ end }}", "1:29", "Host.Name", "an if condition"},
		{"an if on a variable that was assigned", "{{ $x := 1 }}{{ $x = .Host.Name }}{{ if $x }}y{{ end }}", "1:41", "Host.Name", "an if condition"},
		{"an if on what is in parentheses", "{{ if (.Host.Name) }}y{{ end }}", "1:7", "Host.Name", "an if condition"},
		{"an if on an encoded value", "{{ if .Host.Name | json }}y{{ end }}", "1:7", "Host.Name", "an if condition"},
		{"an if in a defined template", `{{ define "t" }}{{ if .Name }}x{{ end }}{{ end }}{{ template "t" .Host }}`, "1:23", "Host.Name", "an if condition"},
		{"an if in a block", `{{ block "t" .Host }}{{ if .Name }}x{{ end }}{{ end }}`, "1:28", "Host.Name", "an if condition"},
		{"a comparison", `{{ if eq .Host.Name "x" }}y{{ end }}`, "1:10", "Host.Name", "eq"},
		{"a comparison of the second argument", `{{ eq "x" .Host.Name }}`, "1:11", "Host.Name", "eq"},
		{"a comparison through a pipe", `{{ .Host.Name | eq "x" }}`, "1:17", "Host.Name", "eq"},
		{"a comparison with a member", "{{ range .Roster.master }}{{ if eq .Name $.Host.Name }}x{{ end }}{{ end }}", "1:36", "Roster.master[0].Name", "eq"},
		{"a comparison of rosters", "{{ eq .Roster.master .Roster.master }}", "1:7", "Roster.master[0].Name", "eq"},
		{"a comparison in the argument of a template", `{{ define "t" }}{{ end }}{{ template "t" (ne .Endpoint "x") }}`, "1:46", "Endpoint", "ne"},
		{"an order", `{{ lt .Host.Index 2 }}`, "1:7", "Host.Index", "lt"},
		{"and", "{{ and .Param.on .Host.Name }}", "1:18", "Host.Name", "and"},
		{"or", "{{ or .Param.empty .Host.Name }}", "1:20", "Host.Name", "or"},
		{"not", "{{ not .Host.Name }}", "1:8", "Host.Name", "not"},
		{"an address with a port", "{{ hostport .Host.Address 53 }}", "1:13", "Host.Address", "hostport"},
		{"arithmetic", "{{ add .Host.Index 1 }}", "1:8", "Host.Index", "add"},
		{"a length", "{{ len .Host.Name }}", "1:8", "Host.Name", "len"},
		{"a map's key", "{{ index .Param .Host.Name }}", "1:17", "Host.Name", "index"},
		{"a list's index", "{{ index .Roster.master .Host.Index }}", "1:25", "Host.Index", "index"},
		{"a part of the text", "{{ slice .Host.Name 1 }}", "1:10", "Host.Name", "slice"},
		{"print", "{{ print .Host.Name }}", "1:10", "Host.Name", "print"},
		{"print of what is around it", "{{ println .Host }}", "1:12", "Host.Name", "println"},
		{"printf", `{{ .Host.Name | printf "%s" }}`, "1:17", "Host.Name", "printf"},
		{"printf of the roster", `{{ printf "%v" .Roster }}`, "1:16", "Roster.master[0].Name", "printf"},
		{"html", "{{ .Host.Name | html }}", "1:17", "Host.Name", "html"},
		{"js", "{{ js .Host.Name }}", "1:7", "Host.Name", "js"},
		{"urlquery", "{{ urlquery .Roster.master }}", "1:13", "Roster.master[0].Name", "urlquery"},
		{"call", "{{ call .Host.Name }}", "1:9", "Host.Name", "call"},
		{"a method", "{{ .Host.Name.String }}", "1:4", "Host.Name", "a method call"},
		{"a comparison of the placeholder", `{{ eq .Host.Name.String "x" }}`, "1:7", "Host.Name", "eq"},
		{"a condition on the placeholder", `{{ if .Host.Name.String }}x{{ end }}`, "1:7", "Host.Name", "an if condition"},
		{"a part of the placeholder", `{{ slice .Host.Name.String 0 5 }}`, "1:10", "Host.Name", "slice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := New(testContext(), testSpace()).Render("a.conf", []byte(c.text))
			wantError(t, err, "a.conf:"+c.place+": late value ."+c.ref+" can only be printed, not used in "+c.use+
				"; its value is known only on the host: print it, if need be with an encoder (json, yaml, shell, systemd, base64, urlhost, url, raw), "+
				"and decide by .Param, .Cluster or .Role")
			if out != nil {
				t.Fatalf("there is output: %q", out)
			}
		})
	}
}

func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	const (
		declare  = "declare it in the bundle's schema, with a default when it is optional"
		language = "correct the template; its language is Go's text/template"
		fields   = "it has Name, Address, Index, Zone"
		root     = "a template sees .Param, .Cluster, .Role, .Host, .Roster, .Endpoint and .Secret; inside of {{ range }} and {{ with }} write $.Param and so on"
		optional = "give the parameter a value or a default, or use it inside of {{ with }}"
		encoders = "the encoders are base64, json, raw, shell, systemd, url, urlhost, yaml; the other functions are " +
			"add, and, bytes, call, div, duration, eq, ge, gt, has, hostport, html, index, js, le, len, lt, mod, mul, ne, not, or, " +
			"print, printf, println, slice, sub, urlquery"
		outside = "index 3 is outside of .Roster.master, which has 3 members; the first is 0 and the last 2; use {{ range .Roster.master }} for all of them"
	)
	for _, c := range []struct{ name, text, want string }{
		{"an unknown parameter", "{{ .Param.prt }}", `1:4: unknown parameter .Param.prt; did you mean ".Param.port"? ` + declare},
		{"an unknown parameter like no other", "a\nb {{ .Param.zzzzz }}", "2:6: unknown parameter .Param.zzzzz; " + declare},
		{"an unknown parameter inside of one", "{{ $.Param.db.hots }}", `1:4: unknown parameter .Param.db.hots; did you mean ".Param.db.host"? ` + declare},
		{"a part of what has none", "{{ .Param.name.x }}", `1:4: .Param.name is text, so it has no field "x"; print .Param.name itself`},
		{"a part of null", "{{ .Param.null.x }}", `1:4: .Param.null is null, so it has no field "x"; ` + optional},
		{"a part of a late value", "{{ .Host.Name.Foo }}", `1:4: .Host.Name is a late value, so it has no field "Foo"; print .Host.Name itself`},
		{"an unknown value", "{{ .Parm.x }}", `1:4: unknown value .Parm; did you mean ".Param"? ` + root},
		{"an unknown value of the role", "{{ .Role.Nam }}", `1:4: unknown value .Role.Nam; did you mean ".Role.Name"? .Role has Count, Name`},
		{"an unknown value of the host", "{{ .Host.Nmae }}", `1:4: .Host has no field "Nmae"; did you mean ".Host.Name"? ` + fields},
		{"an unknown value of a member", "{{ range .Roster.master }}{{ .Nmae }}{{ end }}", `1:30: this value is a host or member, so it has no field "Nmae"; did you mean ".Name"? ` + fields + "; the root is reached by $, as in $.Param"},
		{"the root where the dot is a member", "{{ range .Roster.master }}{{ .Param.name }}{{ end }}", `1:30: this value is a host or member, so it has no field "Param"; ` + fields + "; the root is reached by $, as in $.Param"},
		{"the root where the dot is a map", "{{ with .Param.db }}{{ .Param.name }}{{ end }}", "1:24: .Param.name is not here: the dot is something else inside of {{ range }}, {{ with }} and {{ define }}; write $.Param.name, or hand the value to the included template"},
		{"an unknown key through a variable", "{{ $d := .Param.db }}{{ $d.hots }}", `1:25: $d has no field "hots"; correct the name, or declare it in the bundle's schema with a default; the root is reached by $, as in $.Param`},
		{"an unknown key after parentheses", "{{ (.Param.db).hots }}", `1:5: this value has no field "hots"; correct the name, or declare it in the bundle's schema with a default; the root is reached by $, as in $.Param`},
		{"an unknown part of a late value through a variable", "{{ $n := .Host.Name }}{{ $n.x }}", `1:26: $n is a late value, so it has no field "x"; print it itself`},
		{"a part of null through a variable", "{{ $n := .Param.null }}{{ $n.x }}", `1:27: $n is null, so it has no field "x"; ` + optional},
		{"an undeclared role", "{{ .Roster.mastr }}", `1:4: the cluster has no counted role "mastr"; did you mean "master"? the counted roles are master, public-agent`},
		{"an undeclared role by index", `{{ range index .Roster "agent" }}{{ end }}`, `1:10: the cluster has no counted role "agent"; the counted roles are master, public-agent`},
		{"an index outside of the roster", "{{ (index .Roster.master 3).Name }}", "1:5: " + outside},
		{"a negative index", "{{ index .Roster.master -1 }}", "1:4: " + strings.Replace(outside, "index 3", "index -1", 1)},
		{"an index outside of a roster of one", `{{ index .Roster "public-agent" 1 }}`, "1:4: index 1 is outside of .Roster.public-agent, which has 1 member; the first is 0 and the last 0; use {{ range .Roster.public-agent }} for all of them"},
		{"a field of a roster", "{{ .Roster.master.Name }}", `1:4: .Roster.master is a list of members, so it has no field "Name"; use {{ range .Roster.master }} or {{ (index .Roster.master 0).Name }}`},
		{"an index outside of a list", "{{ index .Param.list 2 }}", "1:4: index: index 2 is outside of a list of 2; correct the arguments"},
		{"an index that is none", `{{ index .Param.list "a" }}`, "1:4: index: an index of a list is a whole number, not text; correct the arguments"},
		{"a key that is none", "{{ index .Param 1 }}", "1:4: index: a key of a map is text, not a number; correct the arguments"},
		{"an index of a number", "{{ index .Param.port 1 }}", "1:4: index: a number cannot be indexed; correct the arguments"},
		{"an index of null", "{{ index .Param.null 1 }}", "1:4: index: index of null; correct the arguments"},
		{"printing a host", "{{ .Host }}", "1:4: .Host is a host, not a single value; print its parts, such as .Name or .Address"},
		{"printing a roster", "{{ .Roster.master }}", "1:4: .Roster.master is a list of members, not a single value; use {{ range }} and print the parts of each member, such as .Name or .Address"},
		{"printing a list", "{{ .Param.list }}", "1:4: .Param.list is a list, not a single value; print its parts, or all of it with | json or | yaml"},
		{"printing null", "{{ .Param.null }}", "1:4: .Param.null is null; give the parameter a value or a default, or print it inside of {{ with }}"},
		{"encoding a roster", "{{ .Roster.master | json }}", "1:21: json takes one late value; this holds .Roster.master[0].Name and more; encode each value by itself, as in {{ range .Roster.master }}{{ .Name | json }}{{ end }}"},
		{"printing the roster", "{{ .Roster }}", "1:4: .Roster is the roster, not a single value; use {{ range }} and print the parts of each member, such as .Name or .Address"},
		{"printing a member", "{{ index .Roster.master 0 }}", "1:4: index .Roster.master 0 is a member, not a single value; print its parts, such as .Name or .Address"},
		{"a part of a number", "{{ .Param.port.x }}", `1:4: .Param.port is a number, so it has no field "x"; print .Param.port itself`},
		{"a part of a truth value", "{{ .Param.on.x }}", `1:4: .Param.on is true or false, so it has no field "x"; print .Param.on itself`},
		{"a part of a list", "{{ .Param.list.x }}", `1:4: .Param.list is a list, so it has no field "x"; print .Param.list itself`},
		{"a range over text", "{{ range .Param.name }}x{{ end }}", "1:10: range takes a list, a map or a whole number, not text; use {{ with }} for a single value"},
		{"a comparison of text with a number", `{{ eq .Param.port "5" }}`, `1:4: eq: incompatible types for comparison: int and string; compare text with text, as in eq .Param.x "5", and numbers with numbers, as in eq .Param.x 5`},
		{"too few arguments", "{{ eq }}", "1:4: wrong number of args for eq: want at least 1 got 0; the last argument may come through a pipe and counts as well"},
		{"a call of what is no function", "{{ call .Param.name }}", "1:4: call: non-function .Param.name of type string; correct the arguments"},
		{"an argument for what takes none", "{{ .Param.db.host .Host.Name }}", "1:4: host is not a method but has arguments; " + language},
		{"a template that is not there", `{{ template "x:y>: z" }}`, `1:13: no template "x:y>: z" is defined in this file; define it with {{ define "x:y>: z" }} … {{ end }}; templates of other files cannot be included`},
		{"an address in printf", `{{ printf "%%p %-5p" .Param.list }}`, "1:4: printf with %p prints an address, which is another one at every generation; use %v"},
		{"a very wide printf", `{{ printf "%099999d" 1 }}`, "1:4: printf with %099999d is too wide; use a width of at most four digits"},

		{"an unknown function", "{{ jsn .Param.name }}", `1:4: unknown function "jsn"; did you mean "json"? ` + encoders},
		{"nearly a function of Muster's own", `{{ hotport .Param.name 1 }}`, `1:4: unknown function "hotport"; did you mean "hostport"? ` + encoders},
		{"a function that reaches outside", `{{ env "HOME" }}`, `1:4: unknown function "env"; ` + encoders},
		{"a function of this package", `{{ musterLeave }}`, `1:4: unknown function "musterLeave"; ` + encoders},
		{"an unknown variable", "a\n{{ $y }}", `2:4: unknown variable "$y"; declare it in the same {{ if }}, {{ with }}, {{ range }} or outside of it: {{ $y := … }}`},
		{"a role with a hyphen", "{{ .Roster.public-agent }}", `1:18: bad character U+002D '-'; a name with a hyphen needs index, as in {{ index .Roster "public-agent" }}`},
		{"an if without end", "x {{ if .Param.on }}", "1:3: the template ends inside of {{ if }}, {{ with }}, {{ range }}, {{ define }} or {{ block }}; close each of them with {{ end }}"},
		{"an end without if", "é{{ end }}", "1:2: {{ end }} without anything to close; remove it, or open what it was to close with {{ if }}, {{ with }} or {{ range }}"},
		{"an action without end", "\n{{ .Param.name\n", "3:1: unclosed action started at line 2; " + language},
		{"what is no template at all", "{{ ) }}", "1:1: unexpected right paren; " + language},

		{"a range over too much", "{{ range 1000000 }}{{ end }}", "1:10: the template takes more than 100000 steps; range over less"},
		{"ranges in ranges over too much", "{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}", "1:26: the template takes more than 100000 steps; range over less"},
		{"a template that includes itself", `{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`, "1:17: templates include each other more than 100 deep; end the recursion with {{ if }}"},
		{"a text that doubles and doubles", `{{ $x := "aaaaaaaaaaaaaaaaaaaa" }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}`, "1:63: a text in print is longer than 1048576 bytes; build it from smaller parts, each printed by itself"},
		{"a long text that is used over and over", `{{ $x := "aaaaaaaaaaaaaaaaaaaa" }}{{ range 15 }}{{ $x = print $x $x }}{{ end }}{{ range 90000 }}{{ $y := len $x }}{{ end }}`, "1:89: the template takes more than 100000 steps; range over less"},
		{"too much output", "{{ range 90000 }}aaaaaaaaaaaaaaa{{ end }}", " what the template renders is longer than 1048576 bytes; large files that are the same on every host belong into a package"},
		{"too long a template", strings.Repeat("a", MaxOutput+1), " the template is longer than 1048576 bytes; large files that are the same on every host belong into a package"},
		{"a placeholder in the template", testMarker + "0@", " the template holds a placeholder of this generation; write {{ .Host.Name }} and so on instead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(testContext(), testSpace()).Render("a.conf", []byte(c.text))
			wantError(t, err, "a.conf:"+c.want)
		})
	}
}

func TestAPlaceholderAmongTheParametersIsRefused(t *testing.T) {
	c := testContext()
	c.Param["name"] = "x" + testMarker + "0@"
	_, err := New(c, testSpace()).Render("a.conf", []byte("{{ .Param.name }}"))
	if err == nil || !strings.HasPrefix(err.Error(), "a.conf:1:4: late value .Host, .Roster, .Endpoint or .Secret can only be printed") {
		t.Fatalf("error %v", err)
	}
}

func TestPreflightSeesTheHostAlone(t *testing.T) {
	r := New(testContext(), testSpace()).Preflight()
	if _, err := r.Render("check ports", []byte("{{ .Host.Address }} {{ .Param.port }} {{ .Role.Name }}")); err != nil {
		t.Fatal(err)
	}
	for text, place := range map[string]string{
		"\n{{ .Roster.master }}":              "2:4: .Roster",
		"{{ range .Roster.master }}{{ end }}": "1:10: .Roster",
		"{{ len $.Roster }}":                  "1:8: .Roster",
		"{{ .Endpoint }}":                     "1:4: .Endpoint",
	} {
		_, err := r.Render("check ports", []byte(text))
		wantError(t, err, "check ports:"+place+" is not known here: preflight runs before the roster is known; "+
			"use only .Host in preflight checks, or make this a postflight check")
	}
}

func TestAnOpenRoleHasNoIndex(t *testing.T) {
	c := testContext()
	c.Role = RoleInfo{Name: "agent"}
	r := New(c, testSpace())
	if _, err := r.Render("a.conf", []byte("{{ .Host.Name }} {{ (index .Roster.master 0).Index }}")); err != nil {
		t.Fatal(err)
	}
	_, err := r.Render("a.conf", []byte("{{ .Host.Index | json }}"))
	wantError(t, err, "a.conf:1:4: late value .Host.Index is not known in an open role: only the members of counted roles are numbered; use .Host.Name to tell hosts apart")
}

func TestAnEndpointMustBeDeclared(t *testing.T) {
	r := New(testContext(), late.NewSpace(testMarker, late.Spec{}))
	_, err := r.Render("a.conf", []byte("{{ .Endpoint }}"))
	wantError(t, err, "a.conf:1:4: the cluster has no endpoint, so .Endpoint has no value; set endpoint in cluster.yaml, or do not use .Endpoint")
	_, err = r.Render("a.conf", []byte("{{ .Roster.master }}"))
	wantError(t, err, `a.conf:1:4: the cluster has no counted role "master"; no role of this cluster has a count`)
}
