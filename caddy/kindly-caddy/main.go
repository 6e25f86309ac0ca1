// Command kindly-caddy is Caddy with its standard modules and the kindly
// module compiled in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-kindly/caddy-kindly"
)

func main() {
	caddycmd.Main()
}
