// Package fault is the one error that people see: what went wrong, what to do, and of which class it is. It knows
// nothing of who reports it or how.
package fault

import (
	"errors"
	"fmt"
)

// Class sorts faults by what the caller can do about them.
type Class string

// The classes. Each is an error, so that errors.Is(err, fault.Denied) holds for every fault of the class.
const (
	// Invalid is a request that will never succeed as it is.
	Invalid Class = "invalid"
	// Denied is a caller that may not do this.
	Denied Class = "denied"
	// NotFound is a thing that does not exist.
	NotFound Class = "not found"
	// Conflict is a request that the present state forbids.
	Conflict Class = "conflict"
	// Unavailable is a failure that may pass by itself.
	Unavailable Class = "unavailable"
)

func (c Class) Error() string { return string(c) }

// Error is a fault. Cause may be nil.
type Error struct {
	Class  Class
	What   string
	Remedy string
	Cause  error
}

// New makes a fault; every fault has a remedy.
func New(class Class, remedy, format string, args ...any) *Error {
	return &Error{Class: class, What: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Because adds the cause.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.What + ": " + e.Cause.Error()
	}
	return e.What
}

// Unwrap makes errors.Is hold for the class and for the cause.
func (e *Error) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Class, e.Cause}
	}
	return []error{e.Class}
}

// Remedy is what to do about err, or "" when nothing in its chain says.
func Remedy(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Remedy
	}
	return ""
}
