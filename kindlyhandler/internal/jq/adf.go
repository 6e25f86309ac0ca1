package jq

import (
	"encoding/json"
	"maps"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/richtext"
)

// truncateADF cuts a document in Atlassian's format that has more than n
// characters as JSON, the note included: its last blocks, and the end of the
// last one that stays.
func truncateADF(v any, args []any) any {
	n, err := limit("truncate_adf", args[0])
	if err != nil {
		return err
	}
	doc, ok := v.(map[string]any)
	_, isList := doc["content"].([]any)
	if !ok || !isList {
		return &limitError{"it failed: truncate_adf needs what adf makes: write `adf | truncate_adf(30000)`"}
	}
	return cutADF(doc, n)
}

// ADF returns HTML or plain text as a document in Atlassian's format that has at
// most n characters as JSON.
func ADF(s string, n int) map[string]any {
	document := encodedADF(s)
	doc := decodedADF(document)
	if document.fits(n) {
		return doc
	}
	return cutADF(doc, n)
}

// OpaqueADF is like [ADF], but an expression can do no more with the document
// than put it somewhere. That spares making maps of it, which is most of the work.
func OpaqueADF(s string, n int) any {
	document := encodedADF(s)
	if !document.fits(n) {
		return cutADF(decodedADF(document), n)
	}
	return document
}

// encoded is JSON that [Encode] writes as it is. Expressions can do nothing else
// with it: gojq panics on a type that it does not know.
type encoded []byte

func (e encoded) fits(n int) bool { return len(e) <= n || unit{}.length(string(e)) <= n }

func encodedADF(s string) encoded {
	out := richtext.AppendADF([]byte(`{"content":`), s)
	return append(out, `,"type":"doc","version":1}`...)
}

func decodedADF(document encoded) (doc map[string]any) {
	if err := json.Unmarshal(document, &doc); err != nil {
		panic(err) // it is not JSON, whatever the text was
	}
	return doc
}

func cutADF(doc map[string]any, n int) map[string]any {
	if adfLength(doc) <= n {
		return doc
	}
	blocks := doc["content"].([]any)
	tail := map[string]any{"type": "paragraph", "content": []any{map[string]any{"type": "text", "text": note}}}
	kept := map[string]any{"type": "doc", "version": 1}
	kept["content"] = append(cutBlocks(blocks, n-adfLength(with(kept, []any{tail}))), tail)
	return kept
}

func adfLength(v any) int {
	encoded, _ := gojq.Marshal(v)
	return unit{}.length(string(encoded))
}

// with returns a node with other content.
func with(node map[string]any, content []any) map[string]any {
	changed := make(map[string]any, len(node)+1)
	maps.Copy(changed, node)
	changed["content"] = content
	return changed
}

// cutBlocks returns as many of the nodes as fit into room, with their commas,
// and the start of the next one.
func cutBlocks(nodes []any, room int) []any {
	kept := []any{}
	for _, node := range nodes {
		size := adfLength(node) + 1
		if size > room {
			object, _ := node.(map[string]any) // else nobody knows where to cut it
			if cut := cutNode(object, room-1); cut != nil {
				kept = append(kept, cut)
			}
			return kept
		}
		kept = append(kept, node)
		room -= size
	}
	return kept
}

// cutNode returns the start of a node that fits into room, nil if none does.
func cutNode(node map[string]any, room int) map[string]any {
	if text, ok := node["text"].(string); ok {
		changed := with(node, nil)
		delete(changed, "content")
		changed["text"] = ""
		room -= adfLength(changed)
		end := 0
		for i, r := range text {
			if room -= adfLength(string(r)) - len(`""`); room < 0 { // escaped, it can be six
				break
			}
			end = i + utf8.RuneLen(r)
		}
		changed["text"] = text[:end]
		if changed["text"] == "" {
			return nil
		}
		return changed
	}
	content, ok := node["content"].([]any)
	if !ok {
		return nil
	}
	kept := cutBlocks(content, room-adfLength(with(node, []any{})))
	if len(kept) == 0 {
		return nil
	}
	return with(node, kept)
}
