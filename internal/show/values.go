package show

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Fields is a message as plain values for JSON and YAML: the names of the protocol, every field there even when it is
// empty, numbers as numbers, enumerations as the words that people see ("done"), times in RFC 3339 and UTC, durations in
// seconds ("1.5s"), null for what is not set.
//
// It is not protojson, whose bytes are not stable and whose 64-bit numbers are strings.
func Fields(m proto.Message) map[string]any { return message(m.ProtoReflect()) }

func message(m protoreflect.Message) map[string]any {
	fields := m.Descriptor().Fields()
	values := make(map[string]any, fields.Len())
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil && !m.Has(f) {
			continue
		}
		values[string(f.Name())] = field(f, m)
	}
	return values
}

func field(f protoreflect.FieldDescriptor, m protoreflect.Message) any {
	v := m.Get(f)
	switch {
	case f.IsList():
		list := make([]any, v.List().Len())
		for i := range list {
			list[i] = single(f, v.List().Get(i))
		}
		return list
	case f.IsMap():
		values := make(map[string]any, v.Map().Len())
		v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			values[key.String()] = single(f.MapValue(), value)
			return true
		})
		return values
	case f.Message() != nil && !m.Has(f):
		return nil
	}
	return single(f, v)
}

func single(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind:
		switch known := v.Message().Interface().(type) {
		case *timestamppb.Timestamp:
			if when, ok := moment(known); ok {
				return when.UTC().Format(time.RFC3339Nano)
			}
			return nil
		case *durationpb.Duration:
			return strconv.FormatFloat(known.AsDuration().Seconds(), 'f', -1, 64) + "s"
		}
		return message(v.Message())
	case protoreflect.EnumKind:
		return enum(f.Enum(), v.Enum())
	}
	return v.Interface()
}

// enum is PHASE_DONE of Phase as "done", and the number of one that this program does not know.
func enum(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	value := e.Values().ByNumber(n)
	if value == nil {
		return strconv.Itoa(int(n))
	}
	prefix := strings.TrimSuffix(string(e.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
}
