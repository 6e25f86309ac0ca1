package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// patience is how long an answer may take after the end of a measurement
// before it is given up.
const patience = 15 * time.Second

// A load is what the connections of one measurement saw.
type load struct {
	answered  int             // expected answers
	inTime    int             // those of them that came before the end
	latencies []time.Duration // of all answers, ascending
}

// drive sends webhooks over a number of connections, one at a time on each,
// until duration is over and the last answer is there. It fails at the first
// answer that is not the expected one.
func drive(ctx context.Context, s *scenario, addr string, connections int, duration time.Duration, nextConnection func() uint32) (load, error) {
	clients := make([]*client, connections)
	for i := range clients {
		c := &client{scenario: s, addr: addr, webhooks: newWebhooks(addr, s.secret, nextConnection())}
		if err := c.dial(duration + patience); err != nil {
			return load{}, err
		}
		defer func() { c.conn.Close() }()
		clients[i] = c
	}

	group, ctx := errgroup.WithContext(ctx)
	end := time.Now().Add(duration)
	for _, c := range clients {
		group.Go(func() error { return c.run(ctx, end) })
	}
	if err := group.Wait(); err != nil {
		return load{}, err
	}

	var sum load
	for _, c := range clients {
		sum.answered += len(c.latencies)
		sum.inTime += c.inTime
		sum.latencies = append(sum.latencies, c.latencies...)
	}
	slices.Sort(sum.latencies)
	return sum, nil
}

// A client is one keep-alive connection.
type client struct {
	scenario *scenario
	addr     string
	webhooks *webhooks

	conn      net.Conn
	responses *responses

	inTime    int
	latencies []time.Duration
}

// dial connects. The connection fails once timeout is over, so that nothing
// has to be set for each request.
func (c *client) dial(timeout time.Duration) error {
	conn, err := net.DialTimeout("tcp", c.addr, patience)
	if err != nil {
		return fmt.Errorf("cannot connect to Caddy: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		conn.Close()
		return err
	}
	c.conn, c.responses = conn, newResponses(conn)
	return nil
}

func (c *client) run(ctx context.Context, end time.Time) error {
	for ctx.Err() == nil {
		begin := time.Now()
		if !begin.Before(end) {
			return nil
		}
		if _, err := c.conn.Write(c.webhooks.next()); err != nil {
			return fmt.Errorf("cannot send webhook %d of a connection: %w", len(c.latencies)+1, err)
		}
		answer, err := c.responses.read()
		if err != nil {
			return fmt.Errorf("no complete answer to webhook %d of a connection: %w", len(c.latencies)+1, err)
		}
		if answer.status != c.scenario.status || !c.scenario.answers(answer.body) {
			return fmt.Errorf("unexpected answer, status %d (expected %d), body %.300q", answer.status, c.scenario.status, answer.body)
		}
		done := time.Now()
		c.latencies = append(c.latencies, done.Sub(begin))
		if !done.After(end) {
			c.inTime++
		}
		if answer.last {
			c.conn.Close()
			if err := c.dial(time.Until(end) + patience); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}
