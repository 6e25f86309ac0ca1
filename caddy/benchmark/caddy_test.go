package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCaddyfile(t *testing.T) {
	var sites []site
	for _, s := range scenarios {
		if s.name == "respond" || s.name == "whole_job" {
			sites = append(sites, site{addr: "127.0.0.1:8081", directives: s.site("http://127.0.0.1:9001", "http://127.0.0.1:9002")})
		}
	}
	require.Equal(t, `{
	admin 127.0.0.1:8080
	auto_https off
	default_bind 127.0.0.1
	kindly {
		store memory
	}
}

http://:8081 {
	respond /kindly `+"`"+`{"reply":"Ticket 1 created."}`+"`"+`
}

http://:8081 {
	kindly_webhook /kindly whole_job {
		secret examplesecret
		dedupe 24h
		api_key bench-key
		transcript {
			api http://127.0.0.1:9001
		}
		upstream http://127.0.0.1:9002/tickets {
			concurrency 64
		}
		respond_within 5s
		reply "Ticket {kindly.ticket.id} created."
		reply_pending "A ticket follows."
	}
}
`, string(caddyfile("127.0.0.1:8080", "memory", sites)))
}

func TestFreeAddrs(t *testing.T) {
	addrs, err := freeAddrs(20)
	require.NoError(t, err)
	seen := make(map[string]bool)
	for _, addr := range addrs {
		require.False(t, seen[addr], "each is another one")
		seen[addr] = true
	}
}
