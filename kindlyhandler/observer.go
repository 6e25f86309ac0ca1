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
	// ChatToken is called once for every dialogue webhook that becomes a ticket
	// or is refused for its token, if user tokens are checked. The result is
	// "ok", "missing" or "bad", and only the last has a reason: "header",
	// "too_large", "malformed", "algorithm", "key", "signature", "claims",
	// "expired", "not_yet_valid" or "chat".
	ChatToken(result, reason string)
	// TranscriptMissing is called for every ticket that goes out without its
	// transcript.
	TranscriptMissing()
}

type nobody struct{}

func (nobody) Webhook(string, string)   {}
func (nobody) Signature(int)            {}
func (nobody) ChatToken(string, string) {}
func (nobody) TranscriptMissing()       {}
