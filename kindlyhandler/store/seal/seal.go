// Package seal encrypts what a store keeps of people, so that who gets hold of
// its bytes, but not of the key, cannot read them, nor change them unnoticed.
//
// What is sealed begins with a format and the key's [ID]: stores can tell which
// keys they need, and a key that is not there is never taken for damage.
package seal

import (
	"errors"
	"fmt"
)

// What is sealed looks so: a byte with the format, the key's ID, the nonce, and
// the ciphertext with its tag.
const (
	format     = 1
	headerSize = 1 + len(ID{})
	tagSize    = 16

	// Overhead is by how many bytes what is sealed is longer.
	Overhead = headerSize + nonceSize + tagSize
)

// ErrBroken means that something is not what was sealed, or not where it was
// put: it was damaged, or somebody has changed it.
var ErrBroken = errors.New("what is encrypted does not have the authentication that its key gave it: it was changed since")

// Seal appends plaintext, sealed, to dst. It can be opened only with the same
// associated data, which is not in it: that says what plaintext is, so that
// nothing can be put in the place of something else. The same plaintext with the
// same data is sealed in the same way, so that a store sees what has not changed.
//
// There has to be a key that seals. The plaintext must not overlap dst.
func (k *Keys) Seal(dst, plaintext, data []byte) []byte {
	s := k.sealer
	nonce := s.nonce(plaintext, data)
	dst = append(append(append(dst, format), s.id[:]...), nonce[:]...)
	return s.aead(&nonce).Seal(dst, nonce[derivedSize:], plaintext, data)
}

// Open appends to dst what was sealed. It fails with an [*UnknownKeyError]
// without the key, and with [ErrBroken] if it was not sealed so. What is sealed
// must not overlap dst.
func (k *Keys) Open(dst, sealed, data []byte) ([]byte, error) {
	id, ok := KeyOf(sealed)
	if !ok {
		if len(sealed) > 0 && sealed[0] != format {
			return nil, fmt.Errorf("something is encrypted in format %d: this version of the module knows format %d only", sealed[0], format)
		}
		return nil, ErrBroken
	}
	one := k.find(id)
	if one == nil {
		return nil, &UnknownKeyError{[]ID{id}}
	}
	nonce := [nonceSize]byte(sealed[headerSize:])
	opened, err := one.aead(&nonce).Open(dst, nonce[derivedSize:], sealed[headerSize+nonceSize:], data)
	if err != nil {
		return nil, ErrBroken //nolint:nilerr // it says no more
	}
	return opened, nil
}

// KeyOf returns the ID of the key that something was sealed with; ok is false if
// it is not in the format that this package knows.
func KeyOf(sealed []byte) (id ID, ok bool) {
	if len(sealed) < Overhead || sealed[0] != format {
		return id, false
	}
	return ID(sealed[1:]), true
}
