// Package preset knows how ticket systems take tickets. A preset is data: what
// it says in jq is evaluated by package upstream.
//
// Each system has a file of its own. Its comment tells where its facts come
// from, and what stays unsure: only one was tried against its system.
package preset

import (
	"slices"
	"strings"
)

// Preset describes one ticket system. The expressions in it know each option by
// its name with a dollar sign, and the upstream's base URL as $base; those for
// the body have functions for the whole ticket in addition, such as
// ticket_html(n).
type Preset struct {
	// Name is what it is called in the configuration, System in conversation.
	Name, System string

	// URL is where the system is, for those that are at one place. Example shows
	// what to write for the others.
	URL, Example string
	// Path is appended to the URL. It can have options in braces, and {id} for the
	// delivery's id.
	Path string
	// Method is POST if it is empty.
	Method string
	// Upsert is the request instead if its option is set.
	Upsert *Upsert
	// Header has the fields that the system demands, beside credentials.
	Header map[string]string
	// Auth are the ways to log in; the first is used for which all options are
	// there. Without any, the URL is the secret.
	Auth []Auth
	// OAuth2 is what is known of getting access tokens by client credentials.
	OAuth2 OAuth2
	// Options are what the operator can or must say, by the names that the system
	// has for them.
	Options []Option

	// Format is what a text may be: Text, Markdown, HTML or ADF.
	Format string
	// Body, Success, TicketID and TicketURL are as in package upstream.
	Body, Success, TicketID, TicketURL string
	// Throttled is true for an answer by which the system asks to be left alone
	// for a while and whose status does not say so.
	Throttled string
	// Transient is true for an answer that refuses a ticket for the moment only
	// although its status says that it does for good.
	Transient string
	// Wait are the header fields that say for how long, beside Retry-After.
	Wait []Wait
	// MinWait is the time in seconds when there is none of them.
	MinWait int

	// Check is a request that tells whether the credentials are good and does
	// nothing else, nil if the system documents none.
	Check *Check

	// Repeat says what keeps a repeated request from making a second ticket, for
	// people; nothing does if it is empty. Every preset puts the delivery's id into
	// the ticket in addition.
	Repeat string
}

// Check is a GET request that does no harm.
type Check struct {
	// Path is like that of the ticket.
	Path string
	// Success is true for the answer to good credentials, in jq. Default: any JSON
	// with status 2xx.
	Success string
	// Source is where the system's maker documents the request.
	Source string
}

// Upsert is a request that finds what an earlier one has made.
type Upsert struct{ Option, Method, Path string }

// What a text may be.
const (
	Text     = "text"
	Markdown = "Markdown"
	HTML     = "HTML"
	ADF      = "Atlassian's document format"
)

// Auth is one way to log in.
type Auth struct {
	// Options are the names of those options that it needs.
	Options []string
	// Field is the header's, Value what it gets, with options in braces. Basic
	// encodes that as user and password.
	Field, Value string
	Basic        bool
}

// OAuth2 is how to get access tokens by client credentials (RFC 6749, section
// 4.4). Both may have {base}, the URL of the system.
type OAuth2 struct {
	// TokenURL is the token endpoint, empty if the operator has to say it.
	TokenURL string
	// Scope is what is asked for if the operator says nothing.
	Scope string
}

// Option is something that the operator says.
type Option struct {
	Name string
	Kind Kind
	// Value is what is to be written after the name, such as "<key>", and Help
	// what it means.
	Value, Help string
	Required    bool
	// Choices are what a string can be; anything if there are none.
	Choices []string
	// Default is what an expression gets if nothing is said: of the kind's type,
	// or nil for null.
	Default any
}

// Kind is the type of an option.
type Kind string

// The kinds of options, and what they are in an expression.
const (
	String  Kind = "string"  // a string
	Strings Kind = "strings" // a list of strings
	Integer Kind = "integer" // a number
	Boolean Kind = "boolean" // true or false
)

// Wait is a header field that says for how long to wait, and how.
type Wait struct {
	Field  string
	Format Format
	// WhenZero is the field that has to be 0, if there is one: the other is there
	// all the time then.
	WhenZero string
}

// Format is how a time is written.
type Format string

// How times are written.
const (
	Seconds          Format = "seconds"
	UnixSeconds      Format = "unix seconds"
	UnixMilliseconds Format = "unix milliseconds"
	ISO8601          Format = "ISO 8601"
)

// all are the presets, by their names.
var all = []*Preset{
	dixa, dynamics365, freshdesk, front, github, gitlab, helpScout, hubspot, intercom, jira, jiraServiceManagement,
	linear, redmine, requestTracker, salesforce, serviceNow, slack, superOffice, zammad, zendesk,
}

// All returns the presets in the order of their names.
func All() []*Preset { return slices.Clone(all) }

// Find returns the preset of a name, nil if there is none.
func Find(name string) *Preset {
	for _, p := range all {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Names returns the names of all presets, for people.
func Names() string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}

// Option returns the option of a name, nil if there is none.
func (p *Preset) Option(name string) *Option {
	for i := range p.Options {
		if p.Options[i].Name == name {
			return &p.Options[i]
		}
	}
	return nil
}

// OptionNames returns the names of all options, for people.
func (p *Preset) OptionNames() string {
	names := make([]string, len(p.Options))
	for i, option := range p.Options {
		names[i] = option.Name
	}
	return strings.Join(names, ", ")
}
