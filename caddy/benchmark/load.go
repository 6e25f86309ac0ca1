package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// patience is how long an answer may take after the end of a measurement
// before it is given up.
const patience = 15 * time.Second

// unlimited is how many webhooks a measurement may send if only time ends it.
const unlimited = math.MaxInt64

// A load is what the connections of one measurement saw.
type load struct {
	answered  int             // expected answers
	inTime    int             // those of them that came before the end
	took      time.Duration   // until the end
	latencies []time.Duration // of all answers, ascending
	samples   []sample        // the last webhook of each connection
}

// A sample is a webhook that was sent, and its answer.
type sample struct {
	chat   uint64
	answer string
}

// drive sends webhooks over a number of connections, one at a time on each,
// until duration is over or so many are sent as it may send at most, and the
// last answer is there. It fails at the first answer that is not the expected
// one.
func drive(ctx context.Context, s *scenario, addr string, connections int, duration time.Duration, most int64, nextConnection func() uint32) (load, error) {
	clients, err := dialAll(s, addr, connections, nextConnection)
	if err != nil {
		return load{}, err
	}
	defer closeAll(clients)
	return driveAll(ctx, clients, duration, most)
}

// driveAll is drive with clients that are connected.
func driveAll(ctx context.Context, clients []*client, duration time.Duration, most int64) (load, error) {
	var left atomic.Int64
	left.Store(most)
	group, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	end := begin.Add(duration)
	for _, c := range clients {
		group.Go(func() error { return c.run(ctx, end, &left) })
	}
	if err := group.Wait(); err != nil {
		return load{}, err
	}

	sum := load{took: duration}
	if left.Load() < 0 {
		sum.took = min(duration, time.Since(begin))
	}
	for _, c := range clients {
		sum.answered += len(c.latencies)
		sum.inTime += c.inTime
		sum.latencies = append(sum.latencies, c.latencies...)
	}
	slices.Sort(sum.latencies)
	sum.samples = samplesOf(clients)
	return sum, nil
}

func dialAll(s *scenario, addr string, connections int, nextConnection func() uint32) ([]*client, error) {
	var clients []*client
	for range connections {
		c := &client{scenario: s, addr: addr, webhooks: newWebhooks(addr, s.secret, nextConnection())}
		if err := c.dial(); err != nil {
			closeAll(clients)
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.conn.Close()
	}
}

// samplesOf returns the last webhook of each connection that has sent one.
func samplesOf(clients []*client) []sample {
	var samples []sample
	for _, c := range clients {
		if len(c.latencies) > 0 {
			samples = append(samples, sample{c.webhooks.chat - 1, string(c.answer)})
		}
	}
	return samples
}

// A client is one keep-alive connection.
type client struct {
	scenario *scenario
	addr     string
	webhooks *webhooks

	conn      net.Conn
	responses *responses
	deadline  time.Time // of the connection, set once for many requests
	answer    []byte    // body of the last response

	inTime    int
	latencies []time.Duration
}

func (c *client) dial() error {
	conn, err := net.DialTimeout("tcp", c.addr, patience)
	if err != nil {
		return fmt.Errorf("cannot connect to Caddy: %w", err)
	}
	c.conn, c.responses = conn, newResponses(conn)
	return conn.SetDeadline(c.deadline)
}

// expire sets when everything must be answered.
func (c *client) expire(deadline time.Time) error {
	c.deadline = deadline
	return c.conn.SetDeadline(deadline)
}

func (c *client) run(ctx context.Context, end time.Time, left *atomic.Int64) error {
	if err := c.expire(end.Add(patience)); err != nil {
		return err
	}
	for ctx.Err() == nil {
		begin := time.Now()
		if !begin.Before(end) || left.Add(-1) < 0 {
			return nil
		}
		if err := c.send(c.webhooks.next()); err != nil {
			return err
		}
		done := time.Now()
		c.latencies = append(c.latencies, done.Sub(begin))
		if !done.After(end) {
			c.inTime++
		}
	}
	return context.Cause(ctx)
}

// send sends one request and reads the answer, which must be the expected one.
func (c *client) send(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("cannot send webhook %d of a connection: %w", len(c.latencies)+1, err)
	}
	answer, err := c.responses.read()
	if err != nil {
		return fmt.Errorf("no complete answer to webhook %d of a connection: %w", len(c.latencies)+1, err)
	}
	if answer.status != c.scenario.status || !c.scenario.answers(answer.body) {
		return fmt.Errorf("unexpected answer, status %d (expected %d), body %.300q", answer.status, c.scenario.status, answer.body)
	}
	c.answer = append(c.answer[:0], answer.body...)
	if answer.last {
		c.conn.Close()
		return c.dial()
	}
	return nil
}
