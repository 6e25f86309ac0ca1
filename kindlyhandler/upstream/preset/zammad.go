package preset

// Zammad: https://docs.zammad.org/en/latest/api/ticket/index.html
//
// A ticket needs a customer: whoever has the chat's e-mail address, and is made
// if there is nobody yet. Tickets of chats without one go to the option
// customer; unsure is whether Zammad takes them without.
var zammad = &Preset{
	Name: "zammad", System: "Zammad", Example: "https://zammad.example.com",
	Path: "/api/v1/tickets",
	Auth: []Auth{{Options: []string{"token"}, Field: "Authorization", Value: "Token token={token}"}},
	Options: []Option{
		{Name: "group", Value: "<name>", Help: "that gets the ticket", Required: true},
		{Name: "token", Value: "<token>", Help: "of Profile › Token Access, with ticket.agent"},
		{Name: "customer", Value: "<e-mail address>", Help: "whose ticket it is when the chat has no e-mail address"},
		{Name: "tags", Kind: Strings, Value: "<tag...>", Help: "in addition to the chat's labels", Default: []any{}},
	},
	Format: HTML,
	Body: `{
		title: .subject,
		group: $group,
		customer_id: (.customer.email // $customer | if . then "guess:" + . else null end),
		tags: (.chat.labels + $tags | map(split(",") | join(" ")) | unique | join(",")),
		article: {
			subject: .subject,
			body: ticket_html(500000),
			type: "note",
			internal: false,
			content_type: "text/html"
		}
	} | without_nulls`,
	Success:   "201",
	TicketID:  ".body.number",
	TicketURL: `"\($base)/#ticket/zoom/\(.body.id)"`,
	Check: &Check{
		Path:   "/api/v1/users/me",
		Source: "https://docs.zammad.org/en/latest/api/user.html",
	},
}
