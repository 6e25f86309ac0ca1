// Package jq evaluates the jq expressions by which operators say what a ticket
// looks like for their upstream. It bounds what one evaluation can cost, and
// says what went wrong without repeating anything of the values: chats are
// nobody's business.
//
// An expression sees its input and its variables, nothing else: no environment,
// no files, no further inputs. Beside jq's own functions it has those of
// functions.go.
package jq

import (
	"context"
	"errors"
	"slices"

	"github.com/itchyny/gojq"
)

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	code   *gojq.Code
	direct direct // nil if it needs the code
}

// Compile reads an expression. The variables are what it may call by name, such
// as "$base"; [Expression.Eval] takes their values in the same order. An error
// names the line and the column.
func Compile(source string, variables ...string) (*Expression, error) {
	return Library(nil).Compile(source, variables...)
}

// Library has functions that expressions can use.
type Library []gojq.CompilerOption

// Limited is a function of the input that gives something of at most n
// characters or, if bytes is true, bytes.
type Limited func(input map[string]any, n int, bytes bool) any

// NewLibrary returns a library of functions with their names.
func NewLibrary(functions map[string]Limited) Library {
	l := make(Library, 0, len(functions))
	for name, f := range functions {
		l = append(l, limitFunction(name, func(v any, n int, u unit) any {
			object, ok := v.(map[string]any)
			if !ok {
				return &limitError{"it failed: " + name + " is about the ticket: write it where `.` is the ticket, or put the ticket into a variable before, by `. as $t`"}
			}
			return f(object, n, u.bytes)
		}))
	}
	return l
}

// Compile is like the function, for an expression that uses the library.
func (l Library) Compile(source string, variables ...string) (*Expression, error) {
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, parseError(source, err)
	}
	if err := refuse(source, query); err != nil {
		return nil, err
	}
	simple := directly(query, variables)
	guard(query)
	options := slices.Concat([]gojq.CompilerOption{gojq.WithVariables(variables), gojq.WithModuleLoader(prelude)}, functions, l)
	code, err := gojq.Compile(query, options...)
	if err != nil {
		return nil, compileError(source, err, variables)
	}
	return &Expression{code, simple}, nil
}

// Eval returns the expression's only result for an input. Both consist of nil,
// bool, int, float64, [json.Number], string, []any and map[string]any. The
// input is not changed, and the result can share parts with it.
//
// [json.Number]: https://pkg.go.dev/encoding/json#Number
func (e *Expression) Eval(ctx context.Context, input any, values ...any) (any, error) {
	if e.direct != nil {
		if result, ok := e.direct(input, values); ok {
			return result, nil
		}
	}
	results := e.code.RunWithContext(newBudget(ctx), input, values...)
	result, ok := results.Next()
	if !ok {
		return nil, errors.New("it gives no result, where one is needed: mind `empty`, `select` and `.[]` of an empty list")
	}
	if err, ok := result.(error); ok {
		return nil, describe(err)
	}
	another, ok := results.Next()
	if !ok {
		return result, nil
	}
	if err, ok := another.(error); ok {
		return nil, describe(err)
	}
	return nil, errors.New("it gives more than one result, where one is needed: put brackets around it to make them a list")
}
