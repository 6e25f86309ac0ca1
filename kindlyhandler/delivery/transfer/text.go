package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// text is a string, or an object {"base64": …} if it is no UTF-8.
type text []byte

var (
	errText   = errors.New(`a text is neither a string nor an object such as {"base64": "aGVp"}`)
	errBase64 = errors.New("the base64 of a text is malformed")
	errTime   = errors.New("a time is not as in 2026-11-22T14:28:00.123Z, or not from 1970 to 2261")
)

// MarshalJSON implements [json.Marshaler].
func (t text) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	var err error
	if utf8.Valid(t) {
		err = encoder.Encode(string(t))
	} else {
		err = encoder.Encode(struct {
			Base64 []byte `json:"base64"`
		}{t})
	}
	return b.Bytes(), err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return errText
		}
		*t = text(s)
		return nil
	case '{':
		var o struct {
			Base64 *string `json:"base64"`
		}
		decoder := json.NewDecoder(bytes.NewReader(b))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&o); err != nil || o.Base64 == nil {
			return errText
		}
		decoded, err := base64.StdEncoding.Strict().DecodeString(*o.Base64)
		if err != nil {
			return errBase64
		}
		*t = decoded
		return nil
	default:
		return errText
	}
}

// bytes returns nil for an empty text.
func (t text) bytes() []byte {
	if len(t) == 0 {
		return nil
	}
	return t
}

// instant is a time that is left out if it is zero.
type instant struct{ time.Time }

// Times that stores can keep, as nanoseconds since 1970.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// MarshalJSON implements [json.Marshaler].
func (i instant) MarshalJSON() ([]byte, error) { return i.UTC().MarshalJSON() }

// UnmarshalJSON implements [json.Unmarshaler].
func (i *instant) UnmarshalJSON(b []byte) error {
	if err := i.Time.UnmarshalJSON(b); err != nil || i.Before(earliest) || !i.Before(latest) {
		return errTime
	}
	i.Time = i.UTC()
	return nil
}
