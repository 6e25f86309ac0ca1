package delivery

// Shared is a [Store] whose deliveries other processes put, claim and save,
// too. A claim is lost when its process seems to be dead; its Save fails with
// ErrNotFound then, if another process has the delivery by that time.
type Shared interface {
	Store

	// Watch tells from now on, until Close, what the other processes do. It is
	// called at most once.
	Watch(Watch)
}

// Watch is what a [Shared] store calls. Its functions do not block.
type Watch struct {
	// Changed is called when a delivery of the lane may be claimable that was
	// not before: another process put or saved it, or is dead. The zero Lane
	// stands for all lanes: something may have been missed.
	Changed func(Lane)
	// Members is called when it is known, and whenever it changes, how many
	// processes work with the store. This one has the given place among them,
	// from 0.
	Members func(place, of int)
}
