package postgres

import "github.com/google/uuid"

// Status is what an operator wants to know of a store.
type Status struct {
	Engine string `json:"engine"`
	target
	Schema string `json:"schema,omitempty"`
	Prefix string `json:"prefix"`
	// Version is the one of the tables that this instance works with.
	Version int `json:"version"`
	// Ready is false while the database cannot be used, Error says why: webhooks
	// are refused then.
	Ready bool   `json:"ready"`
	Error string `json:"error,omitempty"`
	// Instance is this process in the fleet; Members is how many there are, 0
	// while that is not known.
	Instance string `json:"instance,omitempty"`
	Members  int    `json:"members"`
	// Connections of the pool are there, Busy of them at work.
	Connections int `json:"connections"`
	Busy        int `json:"busy"`
	// EncryptionKeys are those that the store knows, and those that are missing;
	// Unencrypted says that there may be deliveries that no key has encrypted,
	// unless none is configured.
	EncryptionKeys []Key `json:"encryption_keys,omitempty"`
	Unencrypted    bool  `json:"unencrypted,omitempty"`
}

// Status returns the store's status. It does not ask the database.
func (s *Store) Status() any {
	status := Status{Engine: "postgres", target: s.target, Prefix: s.prefix, Version: Version}
	if keys, unencrypted := s.sealing.status(); len(keys) > 0 {
		status.EncryptionKeys, status.Unencrypted = keys, unencrypted
	}
	if n := s.names.Load(); n != nil {
		status.Schema = n.schema
	}
	if err := s.health.err(); err != nil {
		status.Error = err.Error()
	} else {
		status.Ready = true
	}
	s.identity.mu.Lock()
	if s.identity.current != uuid.Nil {
		status.Instance = s.identity.current.String()
	}
	status.Members = s.identity.members
	s.identity.mu.Unlock()
	stat := s.pool.Stat()
	status.Connections, status.Busy = int(stat.TotalConns()), int(stat.AcquiredConns())
	return status
}
