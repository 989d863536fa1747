package late

import "strconv"

// Error is what is wrong and what to do about it. Package render adds the file, line and column.
type Error struct {
	Message string
	Remedy  string
}

// Error gives the message and, after a semicolon, the remedy.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Message
	}
	return e.Message + "; " + e.Remedy
}

// Misuse is the error of using a late value in any other way than printing it. The ref is as Find gives it, use is a
// few words such as "eq" or "an if condition".
func Misuse(ref, use string) *Error {
	return &Error{
		Message: "late value ." + ref + " can only be printed, not used in " + use,
		Remedy: "its value is known only on the host: print it, if need be with an encoder (" + encoderNames() + "), " +
			"and decide by .Param, .Cluster or .Role",
	}
}

// quotedLength is how much of a wrong value a message repeats.
const quotedLength = 60

// quote gives a value for a message: escaped, because it may come from a hostile host, and cut.
func quote(s string) string {
	if len(s) > quotedLength {
		return strconv.QuoteToASCII(s[:quotedLength]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
