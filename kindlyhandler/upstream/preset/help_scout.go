package preset

// Help Scout: https://developer.helpscout.com/mailbox-api/endpoints/conversations/create/
// and https://developer.helpscout.com/mailbox-api/overview/authentication/
//
// The conversation's id is in a header, the body is empty. A conversation needs
// a customer, who is made if the address is new: tickets of chats without an
// e-mail address go to the option customer. A tag is made if it is new. Without
// assign_to, the inbox's settings say whose it is.
//
// Access tokens expire after two days. The application belongs to a user, and
// its tokens are refused when that user is gone. Unsure: the length of a text,
// and that the conversation's page needs no more than its id.
var helpScout = &Preset{
	Name: "help_scout", System: "Help Scout", URL: "https://api.helpscout.net", Example: "https://api.helpscout.net",
	Path:   "/v2/conversations",
	Auth:   []Auth{{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"}},
	OAuth2: OAuth2{TokenURL: "{base}/v2/oauth2/token"}, //nolint:gosec // an address
	Options: []Option{
		{Name: "access_token", Value: "<token>", Help: "of an OAuth2 application"},
		{Name: "mailbox_id", Kind: Integer, Value: "<id>", Help: "of the inbox", Required: true},
		{Name: "customer", Value: "<e-mail address>", Help: "whose conversation it is when the chat has no e-mail address", Required: true},
		{Name: "assign_to", Kind: Integer, Value: "<id>", Help: "of the user who gets the conversation"},
		{Name: "tags", Kind: Strings, Value: "<tag...>", Help: "in addition to the chat's labels", Default: []any{}},
	},
	Format: HTML,
	Body: `(.customer.email // $customer) as $email
	| {
		subject,
		customer: {email: $email},
		mailboxId: $mailbox_id,
		type: "email",
		status: "active",
		assignTo: $assign_to,
		tags: (.chat.labels + $tags | map(truncate(60)) | unique),
		threads: [{type: "customer", customer: {email: $email}, text: ticket_html(500000)}]
	} | without_nulls`,
	Success:   "201",
	TicketID:  `.headers["resource-id"]`,
	TicketURL: `.headers["resource-id"] | if . then "https://secure.helpscout.net/conversation/\(.)" else null end`,
	Wait:      []Wait{{Field: "X-RateLimit-Retry-After", Format: Seconds}},
	Check: &Check{
		Path:   "/v2/users/me",
		Source: "https://developer.helpscout.com/mailbox-api/endpoints/users/me",
	},
}
