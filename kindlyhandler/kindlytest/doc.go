// Package kindlytest simulates what stands on the two sides of a Kindly
// webhook, for tests and demonstrations, in the spirit of net/http/httptest:
//
//   - [Kindly] serves the Chat Transcript API and sends signed webhooks;
//   - [HelpDesk] accepts tickets, records them and answers with their number;
//   - [TokenEndpoint] gives access tokens for it, where it wants them.
//
// All listen on loopback, need no account, and can be told to fail in the
// ways in which real servers do: see [Mode].
//
// What lives here is the other side of the wire only. How a webhook is
// verified and turned into a ticket is the business of package kindlyhandler.
// Kindly's documentation is the only source for the simulation, so a test that
// passes here says that a program agrees with the documentation, no more.
//
// Everything is safe for concurrent use, except that exported fields are to be
// set before the first request.
package kindlytest
