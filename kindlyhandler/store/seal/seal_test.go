package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// raw returns the bytes of a key.
func raw(n byte) []byte {
	b := make([]byte, seal.KeySize)
	for i := range b {
		b[i] = n + byte(i)*0x35
	}
	return b
}

func text(n byte) string { return base64.StdEncoding.EncodeToString(raw(n)) }

func parse(tb testing.TB, texts ...string) *seal.Keys {
	tb.Helper()
	keys, err := seal.Parse(texts...)
	require.NoError(tb, err)
	return keys
}

// TestParse_forms has one key, however it is written.
func TestParse_forms(t *testing.T) {
	want := parse(t, text(0xc8)).Sealer()
	for _, form := range []string{
		base64.RawStdEncoding.EncodeToString(raw(0xc8)),
		base64.URLEncoding.EncodeToString(raw(0xc8)),
		base64.RawURLEncoding.EncodeToString(raw(0xc8)),
		hex.EncodeToString(raw(0xc8)),
		strings.ToUpper(hex.EncodeToString(raw(0xc8))),
		" " + text(0xc8) + "\r\n",
	} {
		require.Equal(t, want, parse(t, form).Sealer(), form)
	}
	require.Contains(t, text(0xc8)+base64.URLEncoding.EncodeToString(raw(0xc8)), "_", "the alphabets differ in it")
	require.NotEqual(t, want, parse(t, text(0xc9)).Sealer())
	require.Len(t, want.String(), 16)
}

// TestParse_wrong has the errors of what is no key, which do not repeat it.
func TestParse_wrong(t *testing.T) {
	for name, c := range map[string]struct {
		texts []string
		want  string
	}{
		"empty":            {[]string{""}, "key 1 is empty: make one by `openssl rand -base64 32`"},
		"only space":       {[]string{" \n"}, "key 1 is empty"},
		"too short":        {[]string{text(1), base64.StdEncoding.EncodeToString(raw(2)[:16])}, "key 2 has 16 bytes instead of 32: make one by `openssl rand -base64 32`"},
		"too long":         {[]string{base64.StdEncoding.EncodeToString(append(raw(2), 1))}, "key 1 has 33 bytes instead of 32"},
		"hex, one more":    {[]string{hex.EncodeToString(raw(1)) + "aa"}, "key 1 has 49 bytes instead of 32"},
		"hex, too short":   {[]string{hex.EncodeToString(raw(1)[:16])}, "key 1 has 24 bytes instead of 32"},
		"a pass phrase":    {[]string{"correct horse battery staple"}, "key 1 is neither base64 nor 64 hexadecimal digits: make one by"},
		"zeroes":           {[]string{hex.EncodeToString(make([]byte, 32))}, "key 1 is the same byte again and again"},
		"the same twice":   {[]string{text(1), hex.EncodeToString(raw(1))}, "key 2 is the same as one before it: leave it out"},
		"off behind a key": {[]string{text(1), "off"}, "key 2 is off, which goes first: write `off <key...>`"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := seal.Parse(c.texts...)
			require.ErrorContains(t, err, c.want)
			for _, text := range c.texts {
				if len(text) > 3 {
					require.NotContains(t, err.Error(), text)
				}
			}
		})
	}
}

func TestSeal(t *testing.T) {
	keys := parse(t, text(1))
	for _, size := range []int{0, 1, 15, 16, 17, 1024, 1 << 20} {
		plaintext := bytes.Repeat([]byte("t"), size)
		sealed := keys.Seal([]byte("before"), plaintext, []byte("data"))
		require.Len(t, sealed, len("before")+size+seal.Overhead)
		require.True(t, bytes.HasPrefix(sealed, []byte("before")))
		sealed = sealed[len("before"):]
		if size > 1 {
			require.NotContains(t, string(sealed), "ttttttt")
		}
		id, ok := seal.KeyOf(sealed)
		require.True(t, ok)
		require.Equal(t, keys.Sealer(), id)
		opened, err := keys.Open([]byte("before"), sealed, []byte("data"))
		require.NoError(t, err)
		require.Equal(t, "before"+string(plaintext), string(opened))
	}
}

// TestSeal_repeatable has equal bytes for equal messages, and for them alone.
func TestSeal_repeatable(t *testing.T) {
	keys := parse(t, text(1))
	sealed := func(keys *seal.Keys, plaintext, data string) string {
		return string(keys.Seal(nil, []byte(plaintext), []byte(data)))
	}
	one := sealed(keys, "abc", "d")
	require.Equal(t, one, sealed(parse(t, text(1), text(2)), "abc", "d"))
	nonces := map[string]bool{}
	for _, other := range []string{one, sealed(keys, "abd", "d"), sealed(keys, "abc", "e"), sealed(keys, "bc", "da"), sealed(keys, "dabc", ""), sealed(parse(t, text(2)), "abc", "d")} {
		nonces[other[9:33]] = true
	}
	require.Len(t, nonces, 6, "what goes together into a nonce is kept apart")
}

// TestOpen_changed refuses what has a bit that is not as it was sealed.
func TestOpen_changed(t *testing.T) {
	keys := parse(t, text(1))
	sealed := keys.Seal(nil, []byte("plaintext"), []byte("data"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		_, err := keys.Open(nil, changed, []byte("data"))
		switch {
		case i == 0:
			require.ErrorContains(t, err, "in format 0: this version of the module knows format 1 only")
			require.NotErrorIs(t, err, seal.ErrBroken)
		case i <= 8:
			var unknown *seal.UnknownKeyError
			require.ErrorAs(t, err, &unknown)
		default:
			require.ErrorIs(t, err, seal.ErrBroken, i)
		}
		_, err = keys.Open(nil, sealed[:i], []byte("data"))
		require.ErrorIs(t, err, seal.ErrBroken)
	}
	_, err := keys.Open(nil, sealed, []byte("other"))
	require.ErrorIs(t, err, seal.ErrBroken, "elsewhere")
}

// TestKeys_rotation has the first key seal, and each open what it has sealed.
func TestKeys_rotation(t *testing.T) {
	before, during, after := parse(t, text(1)), parse(t, text(2), text(1)), parse(t, text(2))
	old, fresh := before.Seal(nil, []byte("old"), nil), during.Seal(nil, []byte("new"), nil)
	for _, sealed := range [][]byte{old, fresh} {
		_, err := during.Open(nil, sealed, nil)
		require.NoError(t, err)
	}
	_, err := after.Open(nil, fresh, nil)
	require.NoError(t, err)
	_, err = after.Open(nil, old, nil)
	var unknown *seal.UnknownKeyError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []seal.ID{before.Sealer()}, unknown.IDs)
	require.ErrorContains(t, err, "encrypted with the key "+before.Sealer().String()+", which encryption_key does not have")
	require.NotErrorIs(t, err, seal.ErrBroken)
}

func TestKeys_require(t *testing.T) {
	var none *seal.Keys
	one, two := parse(t, text(1)), parse(t, text(2))
	require.NoError(t, none.Require(seal.ID{}))
	require.NoError(t, one.Require(one.Sealer(), seal.ID{}))
	require.ErrorContains(t, none.Require(one.Sealer(), two.Sealer(), one.Sealer()), "with the keys ")
	require.Error(t, one.Require(two.Sealer()))
}

// TestKeys_knowing seals as before, and opens more.
func TestKeys_knowing(t *testing.T) {
	var none *seal.Keys
	one, two, off := parse(t, text(1)), parse(t, text(2), text(1)), parse(t, seal.Off, text(3))
	require.Equal(t, one.Sealer(), one.Knowing(two).Sealer())
	require.Equal(t, append(one.IDs(), two.Sealer()), one.Knowing(two).IDs())
	require.Len(t, one.IDs(), 1, "it has not changed itself")
	require.Equal(t, seal.ID{}, none.Knowing(one).Sealer())
	require.NoError(t, none.Knowing(one).Require(one.Sealer()))
	require.Equal(t, seal.ID{}, off.Sealer())
	require.Same(t, one, one.Knowing(none))
	require.NoError(t, off.Knowing(two).Require(append(two.IDs(), off.IDs()...)...))
}

// Whatever is opened is what was sealed, or refused.
func FuzzOpen(f *testing.F) {
	keys := parse(f, text(1))
	sealed := keys.Seal(nil, []byte("plaintext"), []byte("data"))
	f.Add(sealed, []byte("data"))
	f.Add(sealed[:len(sealed)-1], []byte("data"))
	f.Add(sealed, []byte("other"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, sealed, data []byte) {
		opened, err := keys.Open(nil, sealed, data)
		_, known := seal.KeyOf(sealed)
		if err != nil {
			assert.Nil(t, opened)
		} else {
			assert.True(t, known)
			assert.Equal(t, sealed, keys.Seal(nil, opened, data), "there is one way to seal a message")
		}
		again, err := keys.Open(nil, keys.Seal(nil, sealed, data), data)
		require.NoError(t, err)
		require.Equal(t, string(sealed), string(again))
	})
}

func BenchmarkSeal(b *testing.B) {
	keys := parse(b, text(1))
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			plaintext, dst := bytes.Repeat([]byte("t"), size), make([]byte, 0, size+seal.Overhead)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				keys.Seal(dst, plaintext, []byte("data"))
			}
		})
	}
}
