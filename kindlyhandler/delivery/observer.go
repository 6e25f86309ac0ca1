package delivery

// Observer is told what comes of the attempts of a lane. Its methods are called
// concurrently, on the way of every attempt: they must not wait, and not keep
// what they are given.
type Observer interface {
	// Attempted is called for every attempt.
	Attempted(a *Attempt, result Result)
	// Settled is called when a delivery has become Delivered or Dead, and the
	// store knows.
	Settled(d *Delivery)
	// Paused is called when attempts have found that the configuration is
	// wrong, so that the lane is Paused from now on.
	Paused()
}

// Result is what came of one attempt, in a word.
type Result string

const (
	// ResultDelivered: the upstream has the ticket.
	ResultDelivered Result = "delivered"
	// ResultTransient: it is attempted again, unless it has been for too long.
	ResultTransient Result = "transient"
	// ResultPermanent: it was refused for good.
	ResultPermanent Result = "permanent"
	// ResultMisconfigured: the upstream refuses all of them.
	ResultMisconfigured Result = "misconfigured"
	// ResultUnknown: it failed, but the ticket may have arrived all the same.
	ResultUnknown Result = "unknown"
	// ResultCutOff: a shutdown ended it.
	ResultCutOff Result = "cut_off"
)

func resultOf(o *Outcome) Result {
	switch {
	case o.Unknown && o.Verdict != Success:
		return ResultUnknown
	case o.Verdict == Success:
		return ResultDelivered
	case o.Verdict == Permanent:
		return ResultPermanent
	case o.Verdict == Misconfigured:
		return ResultMisconfigured
	default:
		return ResultTransient
	}
}

type nobody struct{}

func (nobody) Attempted(*Attempt, Result) {}
func (nobody) Settled(*Delivery)          {}
func (nobody) Paused()                    {}

// observer returns who is told of a definition's attempts.
func (d *Definition) observer() Observer {
	if d.Observer == nil {
		return nobody{}
	}
	return d.Observer
}
