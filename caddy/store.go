package kindly

import (
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// stores is the namespace of engines.
const stores = "kindly.stores"

// Engine is a module in the namespace kindly.stores: a way to keep deliveries.
type Engine interface {
	// Locate returns what tells this store from others of the same engine.
	// Configurations with the same location share one open store, also while
	// one takes over from the other. It is logged, so it has no secrets in it.
	Locate() (location string, err error)

	// Open opens the store at a location. Every site waits for that: what
	// takes long is to go on in the background.
	Open(location string, o StoreOptions) (Store, error)

	// Durable tells whether what is stored outlives the process.
	Durable() bool
}

// Store is an open store, whose limits can be changed.
type Store interface {
	delivery.Store
	SetLimits(Limits)
}

// StoreOptions are what every engine is given.
type StoreOptions struct {
	Limits
	// Keys are for an [Encrypter]; nil encrypts nothing.
	Keys *seal.Keys
	Log  *zap.Logger
	// Losses counts what the store itself gives up.
	Losses *delivery.Losses
}

// Limits of a store. All of them are above 0.
type Limits = delivery.Limits
