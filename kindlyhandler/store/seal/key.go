package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// A key seals by XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM with
// a key of its own for each message, derived from the first half of a nonce of
// 24 bytes. AES-256-GCM itself has nonces of 12 bytes, so that one key is to
// seal no more than 2^32 messages; a webhook makes several, and a busy queue
// would be there within months. Of 24 bytes, 2^80 messages are as safe.
//
// Nonces are not random: they are an HMAC of the message. What is sealed again
// unchanged is the same bytes, so a store need not write it again, and nothing
// hangs on the system's randomness. Two messages of one nonce are one message.
type key struct {
	id    ID
	block cipher.Block        // under which message keys are derived
	k1    [aes.BlockSize]byte // of CMAC, for messages of whole blocks
	mac   [sha256.Size]byte   // makes nonces
}

const (
	nonceSize = 24
	// derivedSize is how much of the nonce goes into the message's key; AES-GCM
	// has the rest.
	derivedSize = 12
)

// newKey makes a key of its bytes, none of which is used for two things.
func newKey(raw []byte) (*key, error) {
	var failed error
	derive := func(purpose string, size int) []byte {
		derived, err := hkdf.Key(sha256.New, raw, nil, "caddy-kindly "+purpose, size)
		if err != nil {
			failed = err
			return make([]byte, size)
		}
		return derived
	}
	k := &key{id: ID(derive("key id", len(ID{}))), mac: [sha256.Size]byte(derive("nonces", sha256.Size))}
	block, k1, err := newDerivation(derive("XAES-256-GCM", KeySize))
	k.block, k.k1 = block, k1
	return k, errors.Join(failed, err)
}

// newDerivation returns what message keys are derived by.
func newDerivation(master []byte) (block cipher.Block, k1 [aes.BlockSize]byte, err error) {
	if block, err = aes.NewCipher(master); err != nil {
		return nil, k1, err
	}
	block.Encrypt(k1[:], k1[:])
	// Doubled, as CMAC does it.
	high, low := binary.BigEndian.Uint64(k1[:]), binary.BigEndian.Uint64(k1[8:])
	binary.BigEndian.PutUint64(k1[:], high<<1|low>>63)
	binary.BigEndian.PutUint64(k1[8:], low<<1^high>>63*0x87)
	return block, k1, nil
}

// nonce returns the one of a message.
func (k *key) nonce(plaintext, data []byte) (nonce [nonceSize]byte) {
	h := hmac.New(sha256.New, k.mac[:])
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(data))))
	_, _ = h.Write(data)
	_, _ = h.Write(plaintext)
	var sum [sha256.Size]byte
	copy(nonce[:], h.Sum(sum[:0]))
	return nonce
}

// aead returns AES-256-GCM under the key of one message.
func (k *key) aead(nonce *[nonceSize]byte) cipher.AEAD {
	var derived [KeySize]byte
	for i := range 2 {
		half := derived[i*aes.BlockSize:][:aes.BlockSize]
		copy(half, []byte{0, byte(i + 1), 'X', 0})
		copy(half[aes.BlockSize-derivedSize:], nonce[:derivedSize])
		subtle.XORBytes(half, half, k.k1[:])
		k.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(derived[:])
	if err != nil {
		panic(err) // it has the right size
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // so does the block
	}
	return aead
}
