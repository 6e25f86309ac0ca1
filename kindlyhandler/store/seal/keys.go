package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ID names a key. It is derived from the key, and tells nothing of it. The zero
// ID is that of no key.
type ID [8]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Keys are those that a store knows: all of them open what they have sealed,
// one of them seals. They do not change. A nil *Keys knows none and seals
// nothing.
type Keys struct {
	sealer *key // nil: what is new is left as it is
	all    []*key
}

// Off, in the place of the first key, has nothing sealed any more.
const Off = "off"

// KeySize is the size of a key, in bytes.
const KeySize = 32

// howTo says how to make a key.
const howTo = "make one by `openssl rand -base64 32`"

// Parse reads keys as configurations have them: 32 bytes in base64, of the
// standard or the URL alphabet, padded or not, or 64 hexadecimal digits; space
// around them does not matter. The first one seals, or none does if [Off] is in
// its place. Without any, it returns nil. Its errors do not repeat what is there.
func Parse(texts ...string) (*Keys, error) {
	if len(texts) == 0 {
		return nil, nil //nolint:nilnil // which knows no keys
	}
	keys := new(Keys)
	for i, text := range texts {
		text = strings.TrimSpace(text)
		if text == Off {
			if i > 0 {
				return nil, fmt.Errorf("key %d is %s, which goes first: write `%[2]s <key...>`", i+1, Off)
			}
			continue
		}
		raw, err := decode(text)
		if err != nil {
			return nil, fmt.Errorf("key %d %w: %s", i+1, err, howTo)
		}
		k, err := newKey(raw)
		if err != nil {
			return nil, err
		}
		if keys.find(k.id) != nil {
			return nil, fmt.Errorf("key %d is the same as one before it: leave it out", i+1)
		}
		if i == 0 {
			keys.sealer = k
		}
		keys.all = append(keys.all, k)
	}
	return keys, nil
}

var (
	errEmpty   = errors.New("is empty")
	errText    = fmt.Errorf("is neither base64 nor %d hexadecimal digits", hex.EncodedLen(KeySize))
	errOneByte = errors.New("is the same byte again and again")
)

func decode(text string) (raw []byte, err error) {
	if text == "" {
		return nil, errEmpty
	}
	if len(text) == hex.EncodedLen(KeySize) {
		if raw, err = hex.DecodeString(text); err == nil {
			return raw, weak(raw)
		}
	}
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if raw, err = base64.RawStdEncoding.DecodeString(standard); err != nil {
		return nil, errText //nolint:nilerr // which tells a byte of the key
	}
	if len(raw) != KeySize {
		return nil, fmt.Errorf("has %d bytes instead of %d", len(raw), KeySize)
	}
	return raw, weak(raw)
}

// weak refuses what is a placeholder for a key, and no key.
func weak(raw []byte) error {
	if bytes.Count(raw, raw[:1]) == len(raw) {
		return errOneByte
	}
	return nil
}

// Sealer returns the ID of the key that seals, the zero ID if none does.
func (k *Keys) Sealer() ID {
	if k == nil || k.sealer == nil {
		return ID{}
	}
	return k.sealer.id
}

// IDs returns those of all keys, in their order.
func (k *Keys) IDs() (ids []ID) {
	if k == nil {
		return nil
	}
	for _, one := range k.all {
		ids = append(ids, one.id)
	}
	return ids
}

// Require fails with an [*UnknownKeyError] unless each of the IDs is that of one
// of the keys, or zero.
func (k *Keys) Require(ids ...ID) error {
	unknown := slices.DeleteFunc(slices.Clone(ids), func(id ID) bool { return id == ID{} || k.find(id) != nil })
	if len(unknown) == 0 {
		return nil
	}
	slices.SortFunc(unknown, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return &UnknownKeyError{slices.Compact(unknown)}
}

// Knowing returns keys that seal as these do, and open what the others have
// sealed, too.
func (k *Keys) Knowing(others *Keys) *Keys {
	if others == nil {
		return k
	}
	union := new(Keys)
	if k != nil {
		*union = Keys{k.sealer, slices.Clip(k.all)}
	}
	for _, other := range others.all {
		if union.find(other.id) == nil {
			union.all = append(union.all, other)
		}
	}
	return union
}

func (k *Keys) find(id ID) *key {
	if k == nil {
		return nil
	}
	for _, one := range k.all {
		if one.id == id {
			return one
		}
	}
	return nil
}

// UnknownKeyError means that something was sealed with keys that are not there.
type UnknownKeyError struct{ IDs []ID }

func (e *UnknownKeyError) Error() string {
	names := make([]string, len(e.IDs))
	for i, id := range e.IDs {
		names[i] = id.String()
	}
	which := "the key " + names[0]
	if len(names) > 1 {
		which = "the keys " + strings.Join(names, ", ")
	}
	return "there may be content that is encrypted with " + which + ", which encryption_key does not have: " +
		"add what is missing there, behind the key that is to encrypt (or write `encryption_key off <key...>`, which reads what is encrypted and encrypts nothing more)"
}
