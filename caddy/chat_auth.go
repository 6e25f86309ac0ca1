package kindly

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// ChatAuth checks the token of a chat's user, which Kindly forwards with the
// webhooks of dialogues if the user is logged in (Kindly Chat authentication).
// It must be signed by RS256 or ES256, be valid now (with 60 seconds for clocks
// that differ) and be for this chat. Who it names is the ticket's customer then,
// and `verified`. It is removed from the request.
type ChatAuth struct {
	// The files with the public keys of those who sign the tokens, at least one:
	// PEM (PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE, one or several) or a JWKS.
	// RSA keys of 2048 bits or more, and keys on the curve P-256. A relative path
	// begins where Caddy was started. Global placeholders are resolved, and the
	// files read, when the configuration is loaded.
	KeyFiles []string `json:"key_files,omitempty"`

	// Refuse webhooks of dialogues without a good token, by 401. Ticket webhooks
	// carry no token, and are not refused. Default: their tickets go out
	// unverified.
	Required bool `json:"required,omitempty"`
}

// maxKeyFile is the size of the largest file of keys, in bytes.
const maxKeyFile = 1 << 20

func (a *ChatAuth) options() (*kindlyhandler.ChatAuthOptions, error) {
	if a == nil {
		return nil, nil
	}
	o := &kindlyhandler.ChatAuthOptions{Required: a.Required}
	for _, name := range a.KeyFiles {
		path, err := resolve("chat_auth", name)
		if err != nil {
			return nil, err
		}
		if path == "" {
			return nil, errors.New("chat_auth: the name of a file is empty: write the path of a file with public keys")
		}
		file, err := readKeyFile(path)
		if err != nil {
			return nil, fmt.Errorf("chat_auth: %w", err)
		}
		keys, err := kindlyhandler.ParseChatKeys(file)
		if err != nil {
			return nil, fmt.Errorf("chat_auth: %s: %w", path, err)
		}
		o.Keys = append(o.Keys, keys...)
	}
	return o, nil
}

func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file: write the path of a file with public keys; a relative one begins where Caddy was started", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: write the path of a file with public keys that Caddy can read", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: write the path of a file with public keys that Caddy can read", err)
	case len(content) > maxKeyFile:
		return nil, fmt.Errorf("%s: the file is larger than 1 MiB: write the path of one with public keys", path)
	default:
		return content, nil
	}
}

func (h *Handler) unmarshalChatAuth(d *caddyfile.Dispenser) error {
	if h.ChatAuth != nil {
		return twice(d)
	}
	a := new(ChatAuth)
	h.ChatAuth = a
	if err := appendArgs(d, &a.KeyFiles, "<public key file...>"); err != nil {
		return err
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "required" {
			return unknown(d, "chat_auth", "required")
		}
		if err := flagArg(d, &a.Required); err != nil {
			return err
		}
	}
	return nil
}
