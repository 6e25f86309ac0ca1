package postgres

import (
	"context"
	"net"
	"sync"
)

// sockets are the open connections: closing them politely takes a dead peer
// fifteen seconds each time.
type sockets struct {
	mu   sync.Mutex
	open map[*socket]struct{}
}

type socket struct {
	net.Conn
	of *sockets
}

// dialing makes a dialer note what it opens.
func (s *sockets) dialing(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		noted := &socket{c, s}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open == nil {
			s.open = make(map[*socket]struct{})
		}
		s.open[noted] = struct{}{}
		return noted, nil
	}
}

func (s *socket) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	s.of.mu.Unlock()
	return s.Conn.Close()
}

// cut closes all of them.
func (s *sockets) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Conn.Close()
	}
}
