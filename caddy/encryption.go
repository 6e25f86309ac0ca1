package kindly

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// Encrypter is an [Engine] that may keep what quotes people encrypted. Its Open
// uses the keys in its options, and fails if they are too few for what is there.
type Encrypter interface {
	Engine
	// Encrypts tells whether stores that it opens are [KeyedStore]s.
	Encrypts() bool
}

// KeyedStore is a [Store] whose keys can be changed.
type KeyedStore interface {
	Store
	// CheckKeys fails with a [*seal.UnknownKeyError] if the keys lack one that
	// something in the store may be encrypted with, now or at any moment.
	CheckKeys(keys *seal.Keys) error
	// SetKeys changes the keys from now on, or fails as CheckKeys does.
	SetKeys(keys *seal.Keys) error
}

// parseKeys returns the keys that are configured, nil if there are none.
func (a *App) parseKeys() (*seal.Keys, error) {
	const field = "encryption_key"
	texts := make([]string, len(a.EncryptionKeys))
	for i, text := range a.EncryptionKeys {
		var err error
		if texts[i], err = resolve(field, text); err != nil {
			return nil, err
		}
	}
	keys, err := seal.Parse(texts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return keys, nil
}

// setKeys reads the keys, which need an engine that can use them.
func (a *App) setKeys() (err error) {
	if a.keys, err = a.parseKeys(); err != nil || a.keys == nil {
		return err
	}
	if e, ok := a.engine.(Encrypter); !ok || !e.Encrypts() {
		name := strings.TrimPrefix(caddy.GetModuleID(a.engine), stores+".")
		return fmt.Errorf("encryption_key: store %s encrypts nothing: leave it out, or write `store bolt` or `store postgres <dsn>`", name)
	}
	return nil
}

// checkKeys is a check of the doctor's.
func (a *App) checkKeys() []doctor.Finding {
	const check = "encryption_key"
	if len(a.EncryptionKeys) == 0 {
		return nil
	}
	if f, lacks := unchecked(check, a.EncryptionKeys); lacks {
		f.Status = doctor.Problem
		f.Fix = "set it before the server starts: without it, it does not start"
		return []doctor.Finding{f}
	}
	if err := a.setKeys(); err != nil {
		return []doctor.Finding{wrong(check, err)}
	}
	message := "nothing more is encrypted"
	if sealer := a.keys.Sealer(); sealer != (seal.ID{}) {
		message = "the key " + sealer.String() + " encrypts"
	}
	if n := len(a.keys.IDs()); n > 1 {
		message += fmt.Sprintf(", %d keys decrypt", n)
	}
	return []doctor.Finding{{Check: check, Status: doctor.OK, Message: message}}
}
