package kindlyhandler

// Observer counts what a [Handler] does. Its methods are called concurrently,
// on the way of every webhook.
type Observer interface {
	// Webhook is called once for every request with what became of it. The
	// event is empty where there was none to speak of. The outcome is one of
	// "delivered", "pending" and "dead" (in the answer; a pending delivery
	// goes on), "duplicate", "ignored", "not_stored", "handshake",
	// "passed_on" (to a next handler), and "refused_" with a reason.
	Webhook(event, outcome string)
	// Signature is called for every valid signature with the position of the
	// secret that made it.
	Signature(position int)
	// TranscriptMissing is called for every ticket that goes out without its
	// transcript.
	TranscriptMissing()
}

type nobody struct{}

func (nobody) Webhook(string, string) {}
func (nobody) Signature(int)          {}
func (nobody) TranscriptMissing()     {}
