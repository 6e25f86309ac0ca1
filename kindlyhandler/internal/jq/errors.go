package jq

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// parseError says where an expression cannot be read.
func parseError(source string, err error) error {
	parse, ok := errors.AsType[*gojq.ParseError](err)
	if !ok {
		return err
	}
	offset := min(parse.Offset, len(source))
	if parse.Token == "" {
		return at(source, offset, "%v: something is missing, such as a bracket, a quotation mark or `end`", parse)
	}
	return at(source, offset-len(parse.Token), "%v", parse)
}

// at returns an error about what is at an offset of an expression.
func at(source string, offset int, format string, args ...any) error {
	before := source[:max(offset, 0)]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return fmt.Errorf("line %d, column %d: %w", line, column, fmt.Errorf(format, args...))
}

// missing is what gojq says of a name that it does not know.
var missing = regexp.MustCompile(`^(function|variable|label) not defined: (.*?)(?:/(\d+))?$`)

// compileError says where an expression that can be read makes no sense. gojq
// does not tell, but names what it is about.
func compileError(source string, err error, variables []string) error {
	m := missing.FindStringSubmatch(err.Error())
	if m == nil {
		return at(source, 0, "%w", err)
	}
	switch kind, name := m[1], m[2]; kind {
	case "function":
		return at(source, find(source, name), "no function %s with %s arguments", name, m[3])
	case "variable":
		if len(variables) == 0 {
			return at(source, find(source, name), "no variable %s", name)
		}
		return at(source, find(source, name), "no variable %s: there are %s", name, strings.Join(variables, ", "))
	default:
		return at(source, find(source, name), "no %s %s", kind, name)
	}
}

// tokens are what names in an expression have to be told from: texts, comments
// and fields.
var tokens = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|#.*|[.$@]?\w+(?:::\w+)*`)

// find returns the offset of a name in an expression, or of its start.
func find(source, name string) int {
	for _, m := range tokens.FindAllStringIndex(source, -1) {
		if source[m[0]:m[1]] == name {
			return m[0]
		}
	}
	return max(strings.Index(source, name), 0) // in a text's \(…), say
}

// refused are functions that are about a command line. They would be found to
// do nothing only with the first ticket.
var refused = map[string]string{
	"$ENV":       "the environment is not available: write what you need into the expression, or into a header as {env.NAME}",
	"env":        "the environment is not available: write what you need into the expression, or into a header as {env.NAME}",
	"input":      "there is only one input, which is `.`",
	"inputs":     "there is only one input, which is `.`",
	"modulemeta": "there are no modules",
	"halt":       "there is nothing to halt: use `error`",
	"halt_error": "there is nothing to halt: use `error`",
}

// formats are jq's. gojq would find out about others with the first ticket.
var formats = []string{"@text", "@json", "@html", "@uri", "@urid", "@csv", "@tsv", "@sh", "@base64", "@base64d"}

// refuse fails if an expression calls a function that is refused, or imports
// something.
func refuse(source string, query *gojq.Query) (err error) {
	if len(query.Imports) > 0 {
		return at(source, 0, "there are no modules: leave out import and include")
	}
	own := make(map[string]bool)
	visit(reflect.ValueOf(query), func(node any) {
		if definition, ok := node.(*gojq.FuncDef); ok {
			own[definition.Name] = true
		}
	})
	visit(reflect.ValueOf(query), func(node any) {
		switch node := node.(type) {
		case *gojq.Func:
			if why, ok := refused[node.Name]; ok && err == nil && !own[node.Name] {
				err = at(source, find(source, node.Name), "%s", why)
			}
		case *gojq.Term:
			if f := node.Format; f != "" && err == nil && !slices.Contains(formats, f) {
				err = at(source, find(source, f), "no format %s: there are %s", f, strings.Join(formats, ", "))
			}
		}
	})
	return err
}

// What gojq's errors begin with that can be repeated: they go on with parts of
// the values.
var repeatable = []*regexp.Regexp{
	regexp.MustCompile(`^expected [a-z ]+ but got: ` + anyType),
	regexp.MustCompile(`^cannot iterate over: ` + anyType),
	regexp.MustCompile(`^@?[a-z0-9_]+ cannot (?:be applied to|format)`),
	regexp.MustCompile(`^cannot [a-z]+: ` + anyType),
	regexp.MustCompile(`^(?:array index|repeat string result) too large`),
	regexp.MustCompile(`^array index should not be negative`),
	regexp.MustCompile(`^invalid path`),
	regexp.MustCompile(`^invalid regular expression`),
	regexp.MustCompile(`^cannot divide`),
	regexp.MustCompile(`^cannot modulo`),
}

const anyType = `(?:null|boolean|number|string|array|object)`

// called is a function with arguments, in an error about it.
var called = regexp.MustCompile(`^@?[a-z0-9_]+\(`)

// describe says what went wrong with an evaluation, without the values: they
// are what people wrote in a chat.
func describe(err error) error {
	limit, isLimit := errors.AsType[*limitError](err)
	switch {
	case errors.Is(err, errSteps), errors.Is(err, errTime):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case isLimit:
		return limit
	}
	if _, ok := errors.AsType[gojq.ValueError](err); ok {
		return errors.New("it called `error`")
	}
	message := err.Error()
	for _, part := range repeatable {
		if found := part.FindString(message); found != "" {
			return errors.New("it failed: " + found)
		}
	}
	if name := called.FindString(message); name != "" {
		return errors.New("it failed: " + strings.TrimSuffix(name, "(") + " cannot be applied to this")
	}
	return errors.New("it failed")
}
