package attest

import "errors"

const (
	// A document that AWS makes has a depth of 8 and about 60 elements; with a certificate in it, about 130.
	maxDepth    = 24
	maxElements = 1024
)

var errBER = errors.New("it is not in BER")

// Tags of the universal class, with the bit of a constructed encoding where it is always set (X.690).
const (
	tagInteger     = 0x02
	tagOctets      = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0xa0
	tagContext1    = 0xa1
	bitConstructed = 0x20
	bitsHighTag    = 0x1f
)

// element is one element in BER. AWS writes lengths that are not known beforehand, which DER and so encoding/asn1 have
// not. Nothing is converted: what was signed is looked at as it came.
type element struct {
	tag byte
	// raw is the whole element, body its content; inner are the elements of a constructed one.
	raw, body []byte
	inner     []element
	// open says that the length was not given: an end of contents closes the element.
	open bool
}

// berReader bounds what one input can cost.
type berReader struct{ elements int }

// parseBER reads exactly one element.
func parseBER(data []byte) (element, error) {
	r := &berReader{}
	e, rest, err := r.element(data, 0)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes follow its end")
	}
	return e, err
}

func (r *berReader) element(data []byte, depth int) (e element, rest []byte, err error) {
	if r.elements++; r.elements > maxElements || depth > maxDepth {
		return e, nil, errors.New("it has too many parts")
	}
	if len(data) < 2 || data[0]&bitsHighTag == bitsHighTag || data[0] == 0 {
		return e, nil, errBER
	}
	e.tag = data[0]
	length, header, err := berLength(data[1:])
	if err != nil {
		return e, nil, err
	}
	header++
	constructed := e.tag&bitConstructed != 0
	if length >= 0 {
		if length > len(data)-header {
			return e, nil, errBER
		}
		e.raw, e.body, rest = data[:header+length], data[header:header+length], data[header+length:]
		for left := e.body; constructed && len(left) > 0; {
			var inner element
			if inner, left, err = r.element(left, depth+1); err != nil {
				return e, nil, err
			}
			e.inner = append(e.inner, inner)
		}
		return e, rest, nil
	}
	if e.open = true; !constructed {
		return e, nil, errBER
	}
	left := data[header:]
	for len(left) < 2 || left[0] != 0 || left[1] != 0 {
		var inner element
		if inner, left, err = r.element(left, depth+1); err != nil {
			return e, nil, err
		}
		e.inner = append(e.inner, inner)
	}
	end := len(data) - len(left)
	e.body, e.raw = data[header:end], data[:end+2]
	return e, left[2:], nil
}

// berLength reads a length and says how many bytes it takes; it is -1 if it is left open.
func berLength(data []byte) (length, size int, err error) {
	first := data[0]
	switch {
	case first < 0x80:
		return int(first), 1, nil
	case first == 0x80:
		return -1, 1, nil
	case first > 0x83 || len(data) < 1+int(first&0x7f):
		return 0, 0, errBER // 16 MiB or more, which no input has
	}
	size = 1 + int(first&0x7f)
	for _, b := range data[1:size] {
		length = length<<8 | int(b)
	}
	return length, size, nil
}

// is says whether the element has this tag.
func (e element) is(tag byte) bool { return e.tag == tag }

// octets is the content of an OCTET STRING, which may come in pieces.
func (e element) octets() ([]byte, bool) {
	if e.is(tagOctets) {
		return e.body, true
	}
	if !e.is(tagOctets | bitConstructed) {
		return nil, false
	}
	var whole []byte
	for _, piece := range e.inner {
		if !piece.is(tagOctets) {
			return nil, false
		}
		whole = append(whole, piece.body...)
	}
	return whole, true
}
