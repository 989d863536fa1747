package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// maxFileSize is far above what anybody writes or generates (50,000 hosts take 5 MiB) and still fits in memory parsed.
const maxFileSize = 16 << 20

// readFile reads a regular file up to maxFileSize; what stands against it is told in the problem. A pipe or a device
// is not opened, because that could wait for ever.
func readFile(path string) ([]byte, *Problem) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Problem{File: path, Message: "there is no such file", Remedy: "check the path and the directory that the command runs in"}
	case err != nil:
		return nil, unreadable(path, err)
	case info.IsDir():
		return nil, &Problem{File: path, Message: "is a directory, not a file", Remedy: "name the file in it"}
	case !info.Mode().IsRegular():
		return nil, &Problem{File: path, Message: "is not a regular file", Remedy: "save the content to a regular file and name that"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

func unreadable(path string, err error) *Problem {
	// The path stands before the message already.
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &Problem{File: path, Message: fmt.Sprintf("cannot be read: %v", err),
		Remedy: "check the permissions of the file and of the directories above it"}
}

// cleanText makes data a text that the YAML parser and people count alike: no byte order mark, lines that end in \n
// only, and nothing that one of them takes for a line break and the other does not.
func cleanText(data []byte) (string, *Problem) {
	if len(data) > maxFileSize {
		return "", &Problem{Message: fmt.Sprintf("is larger than %d MiB", maxFileSize>>20), Remedy: "check that this is the right file"}
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	line, start := 1, 0
	for i := 0; i < len(text); {
		c := text[i]
		if c == '\n' {
			line, start = line+1, i+1
		}
		if c == '\n' || c == '\t' || ' ' <= c && c <= '~' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if !allowed(r, size) {
			// What is not UTF-8 counts as one column a byte.
			return text, &Problem{Line: line, Column: 1 + utf8.RuneCountInString(text[start:i]),
				Message: hazard(r, size, c), Remedy: hazardRemedy(size, r)}
		}
		i += size
	}
	return text, nil
}

// allowed are the characters of YAML without those that only some programs take for a line break.
func allowed(r rune, size int) bool {
	switch {
	case r == utf8.RuneError && size == 1:
		return false
	case r == '\u0085', r == '\u2028', r == '\u2029', r == '\ufeff':
		return false
	}
	return r >= 0xA0 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}

func hazard(r rune, size int, c byte) string {
	if r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("is not UTF-8 text: byte 0x%02x", c)
	}
	return fmt.Sprintf("the invisible character U+%04X is not allowed", r)
}

func hazardRemedy(size int, r rune) string {
	if r == utf8.RuneError && size == 1 {
		return "save the file with the encoding UTF-8"
	}
	if r == '\r' {
		return `end the lines with LF or CR LF, or write it as "\r" in double quotes`
	}
	return `remove it, or write it as an escape in double quotes, such as "\x1b" or "\u2028"`
}
