package late

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"muster/internal/manifest"
)

func TestBind(t *testing.T) {
	table := tableOf(
		manifest.Slot{Ref: "Host.Name"}, manifest.Slot{Ref: "Host.Index"},
		manifest.Slot{Ref: "Roster.master[1].Address", Encode: []string{"urlhost", "json"}},
	)
	name, index, url := placeholder(testMarker, 0), placeholder(testMarker, 1), placeholder(testMarker, 2)
	other := Marker([32]byte{})
	for _, c := range []struct{ name, in, want string }{
		{"a text without placeholders stays as it is", "a @late- \x00\xff", "a @late- \x00\xff"},
		{"an empty text stays empty", "", ""},
		{"a placeholder becomes its value", "name=" + name + "\n", "name=h7.example\n"},
		{"placeholders may touch", index + index + name, "11h7.example"},
		{"digits after a placeholder do not belong to it", index + "2", "12"},
		{"encoders are applied in their order", url, `"[fd00::11]"`},
		{"another generation's placeholder is plain text", placeholder(other, 0), placeholder(other, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Bind(table, everyValue(), []byte(c.in))
			if err != nil || string(got) != c.want {
				t.Fatalf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestWhatCannotBeBound(t *testing.T) {
	one := tableOf(manifest.Slot{Ref: "Host.Name"})
	const tampered = "the artifact and its manifest do not belong together: generate again, and check who can write to the artifacts"
	split := placeholder(testMarker, 0)
	dash := &Binder{marker: []byte(testMarker), slots: []boundSlot{{known: true, text: "-"}, {known: true, text: testMarker}}}
	for _, c := range []struct {
		name   string
		table  manifest.LateTable
		values Values
		in     string
		want   string
	}{
		{"a slot that the table lacks", one, everyValue(), "\n\n" + placeholder(testMarker, 1), "line 3 has a placeholder of slot 1, which the manifest does not list; " + tampered},
		{"a marker without a number", one, everyValue(), testMarker + "@", "line 1 has a malformed placeholder; " + tampered},
		{"a number with a leading zero", one, everyValue(), testMarker + "00@", "line 1 has a malformed placeholder; " + tampered},
		{"a negative number", one, everyValue(), testMarker + "-0@", "line 1 has a malformed placeholder; " + tampered},
		{"an endless number", one, everyValue(), testMarker + "000000@", "line 1 has a malformed placeholder; " + tampered},
		{"a placeholder that is cut off", one, everyValue(), split[:len(split)-1], "line 1 has a malformed placeholder; " + tampered},
		{"a missing value", one, Values{}, placeholder(testMarker, 0), "late value .Host.Name has no value yet; the plan must wait until it is known"},
		{"an invalid value", one, Values{"Host.Name": "a b"}, "", `late value .Host.Name is "a b", which is not valid; it must be a host name: labels of letters, digits and hyphens, separated by dots`},
		{"an unknown encoder", tableOf(manifest.Slot{Ref: "Host.Name", Encode: []string{"x"}}), everyValue(), "", `unknown encoder "x"; the encoders are json, yaml, shell, systemd, base64, urlhost, url, raw`},
		{"a chain of too many encoders", tableOf(manifest.Slot{Ref: "Host.Name", Encode: make([]string, 5)}), everyValue(), "", "the manifest's table of late values is damaged: slot 0 has too many encoders; generate the configuration again"},
		{"a ref of unknown form", tableOf(manifest.Slot{Ref: "Env.HOME"}), Values{}, "", `unknown late value "Env.HOME"; late values are Host.Name, Host.Address, Host.Index, Host.Zone, Roster.ROLE[N].Name and so on, Endpoint and Secret.NAME`},
		{"an empty marker", manifest.LateTable{}, everyValue(), "x", `the manifest's table of late values is damaged: its marker is ""; generate the configuration again`},
		{"too many slots", tableOf(make([]manifest.Slot, maxSlots+1)...), Values{}, "", "the manifest's table of late values is damaged: it has 10001 slots, more than 10000; generate the configuration again"},
		{"a text that is too long", one, everyValue(), strings.Repeat("x", MaxInput+1), "the text to bind has 1048577 bytes, more than 1048576; large files that are the same on every host belong into a package"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Bind(c.table, c.values, []byte(c.in))
			wantError(t, err, c.want)
		})
	}
	t.Run("a value that completes a marker", func(t *testing.T) {
		_, err := dash.BindString(strings.TrimSuffix(testMarker, "-") + split)
		wantError(t, err, "line 1 holds a placeholder again after binding; "+tampered)
	})
	t.Run("a value that holds a marker", func(t *testing.T) {
		_, err := dash.BindString("\n" + placeholder(testMarker, 1))
		wantError(t, err, "line 2 holds a placeholder again after binding; "+tampered)
	})
	t.Run("a result that is too long", func(t *testing.T) {
		long := &Binder{marker: []byte(testMarker), slots: []boundSlot{{known: true, text: strings.Repeat("x", MaxInput)}}}
		_, err := long.BindString(strings.Repeat(split, 100))
		wantError(t, err, "the bound text has 5242880 bytes, more than 4194304; large files that are the same on every host belong into a package")
	})
}

func TestMissingNamesEachRefOnce(t *testing.T) {
	table := tableOf(
		manifest.Slot{Ref: "Endpoint"}, manifest.Slot{Ref: "Host.Zone"},
		manifest.Slot{Ref: "Host.Name"}, manifest.Slot{Ref: "Endpoint", Encode: []string{"json"}},
	)
	if got, want := Missing(table, Values{"Host.Name": "a"}), []string{"Endpoint", "Host.Zone"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("missing %q, want %q", got, want)
	}
	if got := Missing(table, everyValue()); got != nil {
		t.Fatalf("missing %q, want none", got)
	}
}

// fuzzedChains are the encoders that the fuzzer can choose from.
var fuzzedChains = [][]string{{"raw"}, {"json"}, {"yaml"}, {"shell"}, {"systemd"}, {"url"}, {"base64"}, {"yaml", "shell"}, {"base64", "json"}, {"url", "systemd"}}

func FuzzBind(f *testing.F) {
	for chain := range fuzzedChains {
		f.Add([]byte("a $4@ b"), []byte("it's \"a\"\n$x {{ \\ é\x00"), byte(chain))
		f.Add([]byte("$0@$1@$2@$3@$4@"), []byte("plain"), byte(chain))
	}
	for _, in := range []string{"", "$", "$0", "$0@", "$1@$2@$", "$$0@", "$10000@", "$9999999999999999999999@", "$-1@", "$00@", "$5@", testMarker[:20] + "$3@", "line\n$7@\n"} {
		f.Add([]byte(in), []byte(testMarker+"0@"), byte(0))
		f.Add([]byte(in), []byte("\xff\xfe"), byte(1))
	}
	f.Fuzz(func(t *testing.T, in, value []byte, chosen byte) {
		chain := fuzzedChains[int(chosen)%len(fuzzedChains)]
		// A fuzzer cannot guess the marker: $ stands for it, in the value of a hostile host, too.
		in = bytes.ReplaceAll(in, []byte("$"), []byte(testMarker))
		value = bytes.ReplaceAll(value, []byte("$"), []byte(testMarker))
		slots := []manifest.Slot{
			{Ref: "Host.Name"}, {Ref: "Host.Index"}, {Ref: "Endpoint", Encode: []string{"yaml", "shell"}},
			{Ref: "Roster.master[0].Zone", Encode: []string{"base64"}}, {Ref: "Secret.word", Encode: chain},
		}
		values := everyValue()
		values.SetSecret("word", value)
		binder, err := NewBinder(tableOf(slots...), values)
		if err != nil {
			return
		}
		before := bytes.Clone(in)
		out, err := binder.Bind(in)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if len(value) > 12 && strings.Contains(err.Error(), string(value)) && !bytes.Contains(in, value) {
				t.Fatalf("the error shows the secret %q: %v", value, err)
			}
			return
		}
		if bytes.Contains(out, []byte(testMarker)) {
			t.Fatalf("a placeholder is left in %q", out)
		}
		word, err := Encode(string(value), chain)
		if err != nil {
			if bytes.Contains(in, []byte(placeholder(testMarker, 4))) {
				t.Fatalf("%q was bound, which cannot be written: %v", value, err)
			}
			word = "not used"
		}
		// One pass over the text, whatever the values are.
		want := strings.NewReplacer(
			placeholder(testMarker, 0), "h7.example", placeholder(testMarker, 1), "1", placeholder(testMarker, 2), `'"api.example:443"'`,
			placeholder(testMarker, 3), "YQ==", placeholder(testMarker, 4), word,
		).Replace(string(in))
		if string(out) != want {
			t.Fatalf("%q with %q by %q became %q, want %q", in, value, chain, out, want)
		}
		again, err := binder.Bind(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("binding again gives %q, %v", again, err)
		}
	})
}

func BenchmarkBind(b *testing.B) {
	table := tableOf(manifest.Slot{Ref: "Host.Name", Encode: []string{"json"}}, manifest.Slot{Ref: "Endpoint"})
	line := strings.Repeat("key = value\n", 10) + "name = " + placeholder(testMarker, 0) + "\nurl = " + placeholder(testMarker, 1) + "\n"
	in := []byte(strings.Repeat(line, 256<<10/len(line)))
	binder, err := NewBinder(table, everyValue())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := binder.Bind(in); err != nil {
			b.Fatal(err)
		}
	}
}
