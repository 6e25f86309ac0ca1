package upstream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestFindTicket(t *testing.T) {
	const address = "https://desk.example/1"
	long := strings.Repeat("x", maxTicketID)
	tests := map[string]struct {
		answer string
		want   delivery.Ticket
	}{
		"top level":                {`{"id":1,"url":"` + address + `"}`, delivery.Ticket{ID: "1", URL: address}},
		"wrapped":                  {`{"ticket":{"id":1,"url":"` + address + `"}}`, delivery.Ticket{ID: "1", URL: address}},
		"wrapped after other text": {`{"ok":true,"list":[{"id":9}],"empty":{},"data":{"key":"ABC-1"},"more":{"id":2}}`, delivery.Ticket{ID: "ABC-1"}},
		"top level beats wrapped":  {`{"ticket":{"id":1,"url":"` + address + `"},"number":2}`, delivery.Ticket{ID: "2"}},
		"wrapped twice":            {`{"a":{"b":{"id":1}}}`, delivery.Ticket{}},
		"id before number and key": {`{"key":"c","number":2,"id":1}`, delivery.Ticket{ID: "1"}},
		"number before key":        {`{"key":"c","number":2}`, delivery.Ticket{ID: "2"}},
		"url before the others":    {`{"link":"https://a","web_url":"https://b","html_url":"https://c","url":"https://d"}`, delivery.Ticket{URL: "https://d"}},
		"html_url":                 {`{"html_url":"https://c","link":"https://a"}`, delivery.Ticket{URL: "https://c"}},
		"url that is a path":       {`{"id":1,"url":"/tickets/1","link":"` + address + `"}`, delivery.Ticket{ID: "1", URL: address}},
		"url of another kind":      {`{"id":1,"url":"javascript:alert(1)"}`, delivery.Ticket{ID: "1"}},
		"url that is too long":     {`{"id":1,"url":"https://a/` + strings.Repeat("x", maxTicketURL) + `"}`, delivery.Ticket{ID: "1"}},
		"large number":             {`{"id":12345678901234567890}`, delivery.Ticket{ID: "12345678901234567890"}},
		"null, list and object":    {`{"id":null,"number":[1],"key":{"a":1}}`, delivery.Ticket{}},
		"true":                     {`{"id":true,"key":"K"}`, delivery.Ticket{ID: "K"}},
		"empty":                    {`{"id":"","number":"","key":"K"}`, delivery.Ticket{ID: "K"}},
		"as long as may be":        {`{"id":"` + long + `"}`, delivery.Ticket{ID: long}},
		"too long":                 {`{"id":"` + long + `x","number":7}`, delivery.Ticket{ID: "7"}},
		"control character":        {`{"id":"1\n2","key":"K"}`, delivery.Ticket{ID: "K"}},
		"the last of duplicates":   {`{"id":1,"id":2}`, delivery.Ticket{ID: "2"}},
		"not JSON":                 {`<html>id</html>`, delivery.Ticket{}},
		"nothing":                  {``, delivery.Ticket{}},
		"a list":                   {`[{"id":1}]`, delivery.Ticket{}},
		"cut off":                  {`{"id":1,"description":"`, delivery.Ticket{}},
		"not UTF-8":                {"{\"id\":\"\xff\"}", delivery.Ticket{}},
		"nested too deep":          {`{"id":1,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, delivery.Ticket{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, findTicket([]byte(test.answer))) })
	}
}
