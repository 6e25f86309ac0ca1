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
	admin off
	auto_https off
	default_bind 127.0.0.1
}

http://:8081 {
	respond /kindly `+"`"+`{"reply":"Ticket 1 created."}`+"`"+`
}

http://:8081 {
	kindly_webhook /kindly bench {
		secret examplesecret
		api_key bench-key
		transcript {
			api http://127.0.0.1:9001
		}
		upstream http://127.0.0.1:9002/tickets {
			concurrency 64
		}
		respond_within 5s
		reply "Ticket {kindly.ticket.id} created."
	}
}
`, string(caddyfile("off", sites)))
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
