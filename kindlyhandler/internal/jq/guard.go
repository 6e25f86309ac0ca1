package jq

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/itchyny/gojq"
)

// A step can cost much by itself: it can double a text, or write out a list
// whose elements are all the same one. What makes large values of small ones is
// therefore replaced by what looks at their size before. This is against
// mistakes and against what a visitor can put into a chat: who writes the
// expressions could end the process anyway.

const (
	// maxWeight bounds a value, in bytes: a string counts its length, every
	// value nodeWeight in addition. The largest transcript there can be, in all
	// its forms, comes to a little less.
	maxWeight  = 128 << 20
	nodeWeight = 16
	// maxNesting is how deep lists and objects may be in each other.
	maxNesting = 1000
)

var (
	errTooLarge  = errors.New("is larger than 128 MiB")
	errTooNested = errors.New("nests more than 1000 levels")
)

// fits fails for a value that would be too large, written out.
func fits(v any) error {
	left := maxWeight
	return weigh(v, &left, maxNesting)
}

func weigh(v any, left *int, levels int) error {
	*left -= nodeWeight
	switch v := v.(type) {
	case string:
		*left -= len(v)
	case encoded:
		*left -= len(v)
	case []any:
		if levels == 0 {
			return errTooNested
		}
		for _, element := range v {
			if err := weigh(element, left, levels-1); err != nil {
				return err
			}
		}
	case map[string]any:
		if levels == 0 {
			return errTooNested
		}
		for key, element := range v {
			*left -= len(key)
			if err := weigh(element, left, levels-1); err != nil {
				return err
			}
		}
	}
	if *left < 0 {
		return errTooLarge
	}
	return nil
}

// replaced are the operators that can make large values, and those that look at
// all of one.
var replaced = map[gojq.Operator]string{
	gojq.OpAdd: "_kindly_add",
	gojq.OpMul: "_kindly_multiply",
	gojq.OpEq:  "_kindly_equal",
	gojq.OpNe:  "_kindly_unequal",
	gojq.OpLt:  "_kindly_less",
	gojq.OpLe:  "_kindly_at_most",
	gojq.OpGt:  "_kindly_greater",
	gojq.OpGe:  "_kindly_at_least",
}

// guard replaces operators in an expression, and checks what goes into texts.
func guard(query *gojq.Query) {
	visit(reflect.ValueOf(query), func(node any) {
		switch node := node.(type) {
		case *gojq.Query:
			if name, ok := replaced[node.Op]; ok {
				node.Term = callOf(name, node.Left, node.Right)
				node.Op, node.Left, node.Right = 0, nil, nil
			}
		case *gojq.String:
			for i, part := range node.Queries {
				if part.Term.Str == nil { // not literal
					checked := &gojq.Query{Left: part, Op: gojq.OpPipe, Right: &gojq.Query{Term: callOf("_kindly_fits")}}
					node.Queries[i] = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: checked}}
				}
			}
		}
	})
}

func callOf(name string, args ...*gojq.Query) *gojq.Term {
	return &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}
}

// visit calls f for every node of an expression, the inner ones first.
func visit(v reflect.Value, f func(node any)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Elem(), f)
			f(v.Interface())
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), f)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			visit(field, f)
		}
	default: // names, numbers
	}
}

// definitions come before every expression. A name in the body of a definition
// that comes before it is jq's own.
const definitions = `
	def _add($l; $r): _kindly_add($l; $r);
	def _multiply($l; $r): _kindly_multiply($l; $r);
	def _kindly_join($s): join($s);
	def join($s): _kindly_fits($s) | _kindly_join($s);
	def _kindly_sum: add;
	def add: _kindly_fits | _kindly_sum;
	def add(f): [f] | add;
	def _kindly_flatten: flatten;
	def flatten: _kindly_fits | _kindly_flatten;
	def _kindly_flatten($n): flatten($n);
	def flatten($n): _kindly_fits | _kindly_flatten($n);
	def _kindly_tojson: tojson;
	def tojson: _kindly_fits | _kindly_tojson;
	def tostring: if type == "string" then . else tojson end;
	def _kindly_html: _tohtml;
	def _tohtml: tostring | _kindly_html;
	def _kindly_uri: _touri;
	def _touri: tostring | _kindly_uri;
	def _kindly_base64: _tobase64;
	def _tobase64: tostring | _kindly_base64;

	def adf: {type: "doc", version: 1, content: [if type == "array" then .[] else . end | _kindly_adf // [] | .[]]};
`

// modules are definitions that expressions start with.
type modules []*gojq.Query

// LoadInitModules is how gojq asks for them.
func (m modules) LoadInitModules() ([]*gojq.Query, error) { return m, nil }

// prelude makes the definitions known to every expression.
var prelude = func() modules {
	query, err := gojq.Parse(definitions)
	if err != nil {
		panic(err)
	}
	return modules{query}
}()

// add is the operator +.
func add(_ any, args []any) any {
	l, r := args[0], args[1]
	switch l := l.(type) {
	case nil:
		return r
	case string:
		if r, ok := r.(string); ok {
			if len(l)+len(r) > maxWeight {
				return tooLarge("+")
			}
			return l + r
		}
	case []any:
		if r, ok := r.([]any); ok {
			if (len(l)+len(r))*nodeWeight > maxWeight {
				return tooLarge("+")
			}
			return slices.Concat(l, r)
		}
	case map[string]any:
		if r, ok := r.(map[string]any); ok {
			if (len(l)+len(r))*nodeWeight > maxWeight {
				return tooLarge("+")
			}
			sum := make(map[string]any, len(l)+len(r))
			maps.Copy(sum, l)
			maps.Copy(sum, r)
			return sum
		}
	}
	return run(plus, l, r) // numbers, and what cannot be added
}

// multiply is the operator *.
func multiply(_ any, args []any) any {
	l, r := args[0], args[1]
	if repeats(l, r) || repeats(r, l) {
		return tooLarge("*")
	}
	return run(times, l, r)
}

// repeats tells whether a number makes a text too large.
func repeats(text, number any) bool {
	s, isText := text.(string)
	n, isNumber := gojq.ToFloat64(number)
	return isText && isNumber && float64(len(s))*n > maxWeight
}

// comparison is an operator that holds for some results of comparing two values.
func comparison(holds func(order int) bool) func(any, []any) any {
	return func(_ any, args []any) any {
		for _, v := range args {
			if err := fits(v); err != nil {
				return &limitError{"a value in it " + err.Error()}
			}
		}
		return holds(gojq.Compare(args[0], args[1]))
	}
}

// plus and times are jq's own operators.
var plus, times = operator("$l + $r"), operator("$l * $r")

func operator(source string) *gojq.Code {
	query, err := gojq.Parse(source)
	if err == nil {
		var code *gojq.Code
		if code, err = gojq.Compile(query, gojq.WithVariables([]string{"$l", "$r"})); err == nil {
			return code
		}
	}
	panic(err)
}

func run(code *gojq.Code, l, r any) any {
	result, _ := code.Run(nil, l, r).Next()
	return result
}

// fitting fails for what would be too large to be written out or put together,
// also with the text that goes between its elements.
func fitting(v any, args []any) any {
	if err := fits(v); err != nil {
		return &limitError{"a value in it " + err.Error()}
	}
	if len(args) == 1 {
		list, _ := v.([]any)
		if s, ok := args[0].(string); ok && len(s)*len(list) > maxWeight {
			return tooLarge("join")
		}
	}
	return v
}

// limitError is one of our own limits, in words that can be shown.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

func tooLarge(by string) error {
	return &limitError{"what `" + by + "` makes in it " + errTooLarge.Error()}
}
