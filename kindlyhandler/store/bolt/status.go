package bolt

import (
	"os"

	"go.etcd.io/bbolt"
)

// Status is what an operator wants to know of a store.
type Status struct {
	Engine string `json:"engine"`
	Path   string `json:"path"`
	// Ready is false while the index is read, and while a damaged file is
	// replaced: webhooks wait then.
	Ready bool `json:"ready"`
	// Bytes is the size of the file, FreeBytes what of it is free to be used
	// again.
	Bytes     int64 `json:"bytes"`
	FreeBytes int64 `json:"free_bytes"`
	// DiskFreeBytes and DiskBytes are of the disk that the file is on; zero
	// where the system does not tell.
	DiskFreeBytes int64 `json:"disk_free_bytes,omitempty"`
	DiskBytes     int64 `json:"disk_bytes,omitempty"`
	// Purging says that what was erased may still be on free pages of the file.
	Purging bool `json:"purging"`
	// Unsaved counts completions that are not on disk yet.
	Unsaved int `json:"unsaved"`
	// Keys counts the webhooks that are recognised as duplicates by memory.
	Keys int `json:"duplicate_keys"`
	// EncryptionKeys are those that the store knows, Unencrypted says that there
	// may be deliveries that none of them has encrypted.
	EncryptionKeys []Key `json:"encryption_keys,omitempty"`
	Unencrypted    bool  `json:"unencrypted,omitempty"`
	// SetAside lists damaged files: they are removed after the retention of
	// dead letters.
	SetAside []Aside `json:"set_aside,omitempty"`
}

// Status returns the store's status.
func (s *Store) Status() any {
	status := Status{Engine: "bolt", Path: s.path}
	// The keys before the purge, which is asked for before one of them is forgotten.
	if keys, unencrypted := s.sealing.status(); len(keys) > 0 {
		status.EncryptionKeys, status.Unencrypted = keys, unencrypted
	}
	status.SetAside, _ = s.listAsides() // not while the file is being replaced
	if info, err := os.Stat(s.path); err == nil {
		status.Bytes = info.Size()
	}
	status.DiskFreeBytes, status.DiskBytes, _ = diskSpace(s.path)
	_, free, size := s.pages()
	status.FreeBytes = int64(free) * size
	_, _ = s.file.view(func(tx *bbolt.Tx) error { // not while it is being replaced
		b := purges.in(tx)
		status.Purging = b != nil && b.Get(purgeKey) != nil
		return nil
	})
	if canReplace && status.Purging {
		for i := range status.EncryptionKeys {
			status.EncryptionKeys[i].Needed = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ready:
		status.Ready = true
	default:
	}
	status.Unsaved, status.Keys = len(s.index.unsaved), s.index.keys.len()
	return status
}
