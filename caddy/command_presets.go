package kindly

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

func presetsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "presets [<name>]",
		Short: "Lists the ticket systems that an upstream can name",
		Long: `
Lists the ticket systems whose requests and answers are known, for ` + "`upstream\n<preset> <URL>`" + `; with a name, what that one asks for and how it is used.`,
		Example: "  caddy kindly presets\n  caddy kindly presets zendesk",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listPresets(cmd.OutOrStdout())
			}
			p := preset.Find(args[0])
			if p == nil {
				return fmt.Errorf("no preset %q: there are %s", args[0], preset.Names())
			}
			return describePreset(cmd.OutOrStdout(), p)
		},
	}
}

func listPresets(out io.Writer) error {
	t := newTable(out)
	t.line("PRESET", "SYSTEM", "OPTIONS (* REQUIRED)")
	for _, p := range preset.All() {
		options := ""
		for _, o := range p.Options {
			if options != "" {
				options += " "
			}
			options += o.Name
			if o.Required {
				options += "*"
			}
		}
		t.line(p.Name, p.System, options)
	}
	return t.Flush()
}

func describePreset(out io.Writer, p *preset.Preset) error {
	address := p.Example
	if p.URL != "" {
		address = fmt.Sprintf("[<URL>]   # %s, or such as %s", p.URL, p.Example)
	}
	fmt.Fprintf(out, "upstream %s %s\n\n", p.Name, address)
	t := newTable(out)
	for _, o := range p.Options {
		help := o.Help
		switch {
		case o.Required:
			help += "; required"
		case o.Default != nil && o.Kind != preset.Strings:
			help += fmt.Sprintf("; default %v", o.Default)
		}
		t.line("  "+o.Name+" "+o.Value, help)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(p.Options) > 0 {
		fmt.Fprintln(out)
	}
	t = newTable(out)
	t.line("request", method(p)+" "+p.Path)
	if p.OAuth2 != (preset.OAuth2{}) {
		t.line("oauth2", oauth2Usage(p))
	}
	t.line("texts", p.Format)
	t.line("success", p.Success)
	if p.Repeat != "" {
		t.line("no second ticket by", p.Repeat)
	} else {
		t.line("repeated", "a request whose answer was lost can make a second ticket")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nbody\n\n\t%s\n", p.Body)
	return nil
}

// oauth2Usage shows what is left to say, and what needs not be said.
func oauth2Usage(p *preset.Preset) string {
	if p.OAuth2.TokenURL == "" {
		return "<token URL> <client id> <client secret>   # scope " + strings.ReplaceAll(p.OAuth2.Scope, "{base}", "<URL>")
	}
	return "<client id> <client secret>   # at " + strings.ReplaceAll(p.OAuth2.TokenURL, "{base}", "<URL>")
}

func method(p *preset.Preset) string {
	if p.Method != "" {
		return p.Method
	}
	return "POST"
}
