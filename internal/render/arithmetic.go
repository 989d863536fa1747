package render

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// arithmetic are functions for rules, and for files of software that wants other units than operators write. Numbers are
// int or float64.
var arithmetic = template.FuncMap{
	"add": func(a, b any) (any, error) {
		return calculate(a, b, (*big.Int).Add, func(x, y float64) float64 { return x + y })
	},
	"sub": func(a, b any) (any, error) {
		return calculate(a, b, (*big.Int).Sub, func(x, y float64) float64 { return x - y })
	},
	"mul": func(a, b any) (any, error) {
		return calculate(a, b, (*big.Int).Mul, func(x, y float64) float64 { return x * y })
	},
	"div":      func(a, b any) (any, error) { return divide(a, b, (*big.Int).Quo) },
	"mod":      func(a, b any) (any, error) { return divide(a, b, (*big.Int).Rem) },
	"duration": duration,
	"bytes":    size,
	"has":      has,
	"hostport": hostport,
}

var errTooLarge = errors.New("the result is too large a number")

// calculate keeps whole numbers whole.
func calculate(a, b any, whole func(z, x, y *big.Int) *big.Int, real func(x, y float64) float64) (any, error) {
	x, xWhole, xOK := number(a)
	y, yWhole, yOK := number(b)
	switch {
	case !xOK || !yOK:
		return nil, errors.New("arithmetic takes numbers; write duration or bytes before a text such as 30s or 512MiB")
	case xWhole && yWhole:
		z := whole(new(big.Int), big.NewInt(int64(a.(int))), big.NewInt(int64(b.(int))))
		if !z.IsInt64() {
			return nil, errTooLarge
		}
		return int(z.Int64()), nil
	}
	z := real(x, y)
	if math.IsInf(z, 0) || math.IsNaN(z) {
		return nil, errTooLarge
	}
	return z, nil
}

// divide is of whole numbers only: what is left over is not to be guessed.
func divide(a, b any, by func(z, x, y *big.Int) *big.Int) (any, error) {
	_, xWhole, _ := number(a)
	y, yWhole, _ := number(b)
	if !xWhole || !yWhole {
		return nil, errors.New("div and mod take whole numbers")
	}
	if y == 0 {
		return nil, errors.New("division by zero")
	}
	return calculate(a, b, by, nil)
}

func number(v any) (f float64, whole, ok bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true, true
	case float64:
		return v, false, true
	}
	return 0, false, false
}

// duration gives nanoseconds.
func duration(s string) (int, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s or 1h30m", s)
	}
	return int(d), nil
}

var sizeText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?(?:([KMGTPE])(i?))?B?$`)

// size gives a number of bytes, of a text such as 512MiB or of a number.
func size(v any) (int, error) {
	if n, ok := v.(int); ok {
		return n, nil
	}
	text, _ := v.(string)
	m := sizeText.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is not a number of bytes such as 512MiB", text)
	}
	n, _ := new(big.Rat).SetString(m[1])
	step := big.NewInt(1000)
	if m[3] != "" {
		step = big.NewInt(1024)
	}
	power := int64(strings.Index("KMGTPE", m[2]) + 1)
	if m[2] == "" {
		power = 0
	}
	n.Mul(n, new(big.Rat).SetInt(step.Exp(step, big.NewInt(power), nil)))
	whole := new(big.Int).Quo(n.Num(), n.Denom())
	if !whole.IsInt64() {
		return 0, errTooLarge
	}
	return int(whole.Int64()), nil
}

// has says whether a list holds a value.
func has(list []any, v any) bool {
	for _, item := range list {
		if item == v {
			return true
		}
	}
	return false
}
