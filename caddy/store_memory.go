package kindly

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func init() {
	caddy.RegisterModule(MemoryStore{})
}

// MemoryStore keeps deliveries in memory, for trials and tests: they survive a
// reload of the configuration, but not the process. It holds at most 256 MiB of
// pending webhooks, and refuses more; of dead letters it holds at most 256 MiB,
// of settled deliveries 250,000, and forgets the oldest.
type MemoryStore struct{}

// CaddyModule returns the Caddy module information.
func (MemoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  stores + ".memory",
		New: func() caddy.Module { return new(MemoryStore) },
	}
}

// UnmarshalCaddyfile implements [caddyfile.Unmarshaler]. Syntax:
//
//	memory
func (*MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the engine's name
	return storeEnds(d, "memory")
}

// Locate implements [Engine]: a process has one memory.
func (*MemoryStore) Locate() (string, error) { return "", nil }

// Open implements [Engine].
func (*MemoryStore) Open(_ string, o StoreOptions) (Store, error) {
	store := memory.New(memory.Options{Losses: o.Losses})
	store.SetLimits(o.Limits)
	return store, nil
}

// Examine implements [Examiner].
func (*MemoryStore) Examine(context.Context) []doctor.Finding {
	return []doctor.Finding{{
		Check:   "store",
		Status:  doctor.Warning,
		Message: "it is in memory: what is pending when the server stops is lost",
		Fix:     "leave out `store memory`, or write `store bolt <path>`",
	}}
}

// Durable implements [Engine].
func (*MemoryStore) Durable() bool { return false }

// Interface guards
var (
	_ Engine                = (*MemoryStore)(nil)
	_ Examiner              = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
)
