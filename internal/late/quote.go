package late

import "strings"

const hexDigits = "0123456789abcdef"

// jsonText gives a JSON string, without the escaping for HTML that encoding/json does by default.
func jsonText(s string) (string, error) {
	if err := utf8Error("a JSON string", s); err != nil {
		return "", err
	}
	return quoted(s, jsonShort, func(r rune) bool {
		// Two line separators that JSON allows and JavaScript did not.
		return r < ' ' || r == '\u2028' || r == '\u2029'
	}), nil
}

// yamlText gives a double-quoted YAML 1.2 scalar. It is one line and in every YAML context a string. Its escapes stand
// for characters, not bytes, so it can hold no more than JSON can.
func yamlText(s string) (string, error) {
	if err := utf8Error("a YAML string", s); err != nil {
		return "", err
	}
	return quoted(s, yamlShort, func(r rune) bool {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r == '\ufeff', r == '\ufffe', r == '\uffff':
			return true
		}
		return false
	}), nil
}

// systemdText gives one item of a unit file's setting, or a part of one, after systemd.syntax(7), "Quoting": what could
// be special is written as a C escape, which means the same outside of quotes and inside of both kinds. So each of
//
//	Environment=KEY={{ .Host.Name | systemd }}
//	Environment="KEY=a {{ .Host.Name | systemd }}"
//	ExecStart=/bin/program --name {{ .Host.Name | systemd }}
//
// is safe. Empty text has no escape: it becomes two double quotes, which is right except inside of single ones. A
// percent sign is doubled because specifiers are expanded after unquoting, in both settings (systemd.unit(5)). A dollar
// sign is refused: ExecStart= wants it doubled (systemd.service(5)), in Environment= it has no special meaning
// (systemd.exec(5)), and which of the two this is cannot be known. Settings without quoting, such as Description=, do
// not understand the escapes.
func systemdText(s string) (string, error) {
	if err := utf8Error("a systemd setting", s); err != nil {
		return "", err
	}
	switch {
	case s == "":
		return `""`, nil
	case strings.ContainsRune(s, 0):
		return "", nulError("a systemd setting")
	case strings.ContainsFunc(s, noncharacter):
		return "", &Error{"a systemd setting cannot hold Unicode's noncharacters, such as U+FFFE", "use | base64 and decode it where it is used"}
	case strings.ContainsRune(s, '$'):
		return "", &Error{
			"a dollar sign means one thing in Environment= and another in ExecStart=, so | systemd refuses it",
			"put the value into a file of the bundle and name it in EnvironmentFile=, or have the program read it from there",
		}
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case letterOrDigit(c), c >= 0x80, strings.IndexByte("_./:@,+=-", c) >= 0:
			b.WriteByte(c)
		case c == '%':
			b.WriteString("%%")
		default:
			b.WriteString(`\x`)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String(), nil
}

// noncharacter says whether r is one of the code points that Unicode will never assign; systemd takes a line with one
// for damaged and ignores it.
func noncharacter(r rune) bool { return r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef }

// The escapes that are a backslash and one more character.
var (
	jsonShort = map[rune]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}
	yamlShort = map[rune]byte{'"': '"', '\\': '\\', '\n': 'n', '\r': 'r', '\t': 't'}
)

// quoted puts s in double quotes, with short escapes where there are any and \uXXXX for what else is special. All that
// is special lies below 0x10000.
func quoted(s string, short map[rune]byte, special func(rune) bool) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for _, r := range s {
		if c, ok := short[r]; ok {
			b.WriteByte('\\')
			b.WriteByte(c)
		} else if special(r) {
			b.Write([]byte{'\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15]})
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
