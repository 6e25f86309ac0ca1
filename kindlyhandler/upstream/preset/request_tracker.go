package preset

// Request Tracker 5: https://docs.bestpractical.com/rt/5.0.5/RT/REST2.html
//
// Tried against Request Tracker 5.0.3. A queue that is not there is 403.
var requestTracker = &Preset{
	Name: "request_tracker", System: "Request Tracker", Example: "https://rt.example.com",
	Path: "/REST/2.0/ticket",
	Auth: []Auth{
		{Options: []string{"token"}, Field: "Authorization", Value: "token {token}"},
		{Options: []string{"user", "password"}, Field: "Authorization", Value: "{user}:{password}", Basic: true},
	},
	Options: []Option{
		{Name: "queue", Value: "<name>", Help: "that gets the ticket", Default: "General"},
		{Name: "token", Value: "<token>", Help: "of Logged in as › Settings › Auth Tokens"},
		{Name: "user", Value: "<name>", Help: "with password, instead of token"},
		{Name: "password", Value: "<password>", Help: "with user, instead of token"},
	},
	Format: HTML,
	Body: `{
		Queue: $queue,
		Subject: .subject,
		Requestor: .customer.email,
		Content: ticket_html(1000000),
		ContentType: "text/html"
	} | without_nulls`,
	Success:   "201",
	TicketID:  ".body.id",
	TicketURL: `"\($base)/Ticket/Display.html?id=\(.body.id)"`,
}
