package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// dialogue is the webhook that is sent, 1 KiB, with chatID where the chat's id
// belongs.
//
//go:embed dialogue.json
var dialogue []byte

// chatID stands for the id of a chat: 24 hex digits.
const chatID = "000000000000000000000000"

// webhooks makes the requests of one connection. All have the same length, so
// it writes what differs into the bytes of one request: the chat's id and the
// signature.
type webhooks struct {
	request   []byte
	body      []byte   // the part of request that is signed
	chatIDs   [][]byte // the parts of body that hold the chat's id
	signature []byte   // the part of request that holds the signature

	mac hash.Hash
	sum [sha256.Size]byte

	chat uint64 // number of the next chat
}

// newWebhooks returns the webhooks of a connection to host. Connections of
// different numbers never share a chat.
func newWebhooks(host, secret string, connection uint32) *webhooks {
	signature := bytes.Repeat([]byte{'='}, base64.StdEncoding.EncodedLen(sha256.Size))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"%s: %s\r\nContent-Length: %d\r\n%s: ",
		path, host, kindlyhandler.AlgorithmHeader, kindlyhandler.Algorithm, len(dialogue), kindlyhandler.SignatureHeader)
	request := bytes.Join([][]byte{[]byte(head), signature, []byte("\r\n\r\n"), dialogue}, nil)
	w := &webhooks{
		request:   request,
		body:      request[len(request)-len(dialogue):],
		signature: request[len(head) : len(head)+len(signature)],
		mac:       hmac.New(sha256.New, []byte(secret)),
		chat:      uint64(connection) << 32,
	}
	for rest := w.body; ; {
		at := bytes.Index(rest, []byte(chatID))
		if at < 0 {
			return w
		}
		w.chatIDs = append(w.chatIDs, rest[at:at+len(chatID)])
		rest = rest[at+len(chatID):]
	}
}

// next returns the next request, valid until the next call.
func (w *webhooks) next() []byte {
	w.chat++
	return w.of(w.chat - 1)
}

// of returns the request of a chat, valid until the next call.
func (w *webhooks) of(chat uint64) []byte {
	id := idOf(chat)
	for _, at := range w.chatIDs {
		copy(at, id[:])
	}
	w.mac.Reset()
	w.mac.Write(w.body)
	base64.StdEncoding.Encode(w.signature, w.mac.Sum(w.sum[:0]))
	return w.request
}

// idOf returns the id of a chat, given its number.
func idOf(chat uint64) (id [len(chatID)]byte) {
	var raw [len(chatID) / 2]byte
	binary.BigEndian.PutUint64(raw[:], mix(chat))
	hex.Encode(id[:], raw[:])
	return id
}

// mix scatters numbers so that consecutive chats have nothing in common, like
// those of many visitors. Different numbers stay different (it is the
// finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
