package main

import (
	"context"
	"fmt"
	"time"
)

// stalled is how long nothing may happen before what is missing counts as
// lost.
const stalled = 30 * time.Second

// A drain is the end of the outage.
type drain struct {
	Webhooks int     `json:"webhooks"` // that waited
	Seconds  float64 `json:"seconds"`  // from the restart of Caddy to the last ticket
}

// drainOf returns nil if no target's help desk was down.
func drainOf(targets []*target) *drain {
	for _, t := range targets {
		if t.down {
			return &drain{t.answered, t.drained.Seconds()}
		}
	}
	return nil
}

// prove checks that what an instance has answered is true, and stops it:
// everything accepted is delivered once, and every webhook is known when it
// comes again. What is durable has to be known after a restart of Caddy, with
// a history of all of it. Help desks that are down are up after that.
func (i *instance) prove(ctx context.Context) (err error) {
	for _, t := range i.targets {
		if t.down {
			err = i.checkWaiting(ctx, t)
		} else {
			err = t.awaitTickets(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	switch {
	case !i.delivers():
	case i.durable():
		if err = i.restart(ctx); err == nil {
			err = i.checkHistory(ctx)
		}
	default:
		err = i.checkRepeats()
	}
	if err != nil {
		return err
	}
	if err := i.caddy.stop(); err != nil { // so that no ticket comes any more
		return err
	}
	for _, t := range i.targets {
		if err := t.check(); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// checkWaiting checks that, while its help desk is down, all that a target has
// accepted waits.
func (i *instance) checkWaiting(ctx context.Context, t *target) error {
	upstreams, err := i.caddy.upstreams(ctx)
	if err != nil {
		return err
	}
	u := upstreams[t.name]
	if want := (counts{Pending: t.answered}); u.Condition != breakerOpen || u.counts() != want {
		return fmt.Errorf("%d webhooks were answered, so as many must wait for a help desk that is known to be down, but its state is %q with %+v deliveries",
			t.answered, u.Condition, u.counts())
	}
	return t.repeat(sameAnswer)
}

// restart restarts Caddy, and lets help desks work that were down. Then it
// does not let Caddy stop, but kills it: nothing of what waits can be under
// way, so all of it must be on the disk, and comes once.
func (i *instance) restart(ctx context.Context) error {
	end := i.caddy.stop
	for _, t := range i.targets {
		if t.down {
			end = i.caddy.kill
		}
	}
	if err := end(); err != nil {
		return err
	}
	for _, t := range i.targets {
		if !t.down {
			continue
		}
		if err := t.desk.open(); err != nil {
			return fmt.Errorf("%s: cannot let the help desk work: %w", t.name, err)
		}
	}
	started := time.Now()
	if err := i.caddy.start(); err != nil {
		return fmt.Errorf("for the second time: %w", err)
	}
	for _, t := range i.targets {
		if !t.down {
			continue
		}
		if err := t.awaitTickets(ctx); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		t.drained = time.Since(started)
	}
	return nil
}

// checkHistory checks that operators see every accepted webhook delivered, and
// that those who send one again are told of the same ticket.
func (i *instance) checkHistory(ctx context.Context) error {
	upstreams, err := i.settled(ctx)
	if err != nil {
		return err
	}
	tickets, err := i.caddy.history(ctx)
	if err != nil {
		return err
	}
	for _, t := range i.targets {
		if !t.deliveries {
			continue
		}
		if got, want := upstreams[t.name].counts(), (counts{Delivered: t.answered}); got != want {
			return fmt.Errorf("%s: %d webhooks were answered, so as many must be delivered, but after the restart these are known: %+v", t.name, t.answered, got)
		}
		if got := len(tickets[t.name]); got != t.answered {
			return fmt.Errorf("%s: %d webhooks were answered, but after the restart the history has %d", t.name, t.answered, got)
		}
		err := t.repeat(func(s sample, answer string) error {
			id := idOf(s.chat)
			want := tickets[t.name][string(id[:])]
			if got := ticketIn([]byte(answer)); got == "" || got != want {
				return fmt.Errorf("it speaks of ticket %q, the history of %q", got, want)
			}
			if isReply([]byte(s.answer)) {
				return sameAnswer(s, answer)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s, after the restart: %w", t.name, err)
		}
	}
	return nil
}

// checkRepeats checks that those who send a webhook again get the same answer.
func (i *instance) checkRepeats() error {
	for _, t := range i.targets {
		if !t.deliveries {
			continue
		}
		if err := t.repeat(sameAnswer); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// settled returns the upstreams when none has pending deliveries any more:
// Caddy knows of a ticket a moment later than the help desk.
func (i *instance) settled(ctx context.Context) (map[string]upstream, error) {
	for deadline := time.Now().Add(stalled); ; {
		upstreams, err := i.caddy.upstreams(ctx)
		if err != nil {
			return nil, err
		}
		pending := 0
		for _, u := range upstreams {
			pending += u.Deliveries.Pending
		}
		if pending == 0 || time.Now().After(deadline) {
			return upstreams, nil
		}
		if err := sleep(ctx, look); err != nil {
			return nil, err
		}
	}
}

// awaitTickets waits until the help desk has as many tickets as it must have,
// or none has come for a while.
func (t *target) awaitTickets(ctx context.Context) error {
	since := time.Now()
	for before := int64(-1); ; {
		got := t.desk.tickets.Load()
		switch {
		case got >= t.wanted():
			return nil
		case got > before:
			before, since = got, time.Now()
		case time.Since(since) > stalled:
			return t.check()
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
}

// wanted is how many tickets there must be.
func (t *target) wanted() int64 {
	if !t.tickets {
		return 0
	}
	return int64(t.answered)
}

// check checks that there is one ticket for each answer, or none if they do not
// stand for tickets.
func (t *target) check() error {
	if got := t.desk.tickets.Load(); got != t.wanted() {
		return fmt.Errorf("%d webhooks were answered, so there must be %d tickets at the help desk, but there are %d", t.answered, t.wanted(), got)
	}
	if t.desk.keys != nil {
		if err := t.desk.keys.check(); err != nil {
			return err
		}
	}
	if got := t.kindly.served.Load(); t.deliveries && got < t.wanted() {
		return fmt.Errorf("%d tickets need a transcript, but only %d were fetched", t.wanted(), got)
	}
	return nil
}

// repeat sends the samples once more, and checks the answers.
func (t *target) repeat(check func(s sample, answer string) error) error {
	lenient := t.scenario
	lenient.answers = func([]byte) bool { return true }
	c := &client{scenario: &lenient, addr: t.addr, webhooks: newWebhooks(t.addr, t.secret, 0)}
	if err := c.dial(); err != nil {
		return err
	}
	defer func() { c.conn.Close() }()
	for _, s := range t.samples {
		if err := c.expire(time.Now().Add(patience)); err != nil {
			return err
		}
		if err := c.send(c.webhooks.of(s.chat)); err != nil {
			return err
		}
		if err := check(s, string(c.answer)); err != nil {
			return fmt.Errorf("unexpected answer to a webhook that came again, body %.300q: %w", c.answer, err)
		}
	}
	return nil
}

func sameAnswer(s sample, answer string) error {
	if answer != s.answer {
		return fmt.Errorf("the first answer was %.300q", s.answer)
	}
	return nil
}
