package preset

// Zendesk Support: https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
//
// The request is checked against Zendesk's OpenAPI description, which knows the
// path without .json; the documentation has both. Unsure, since only users tell:
// a comment has at most 64 KiB, a subject 150 characters.
var zendesk = &Preset{
	Name: "zendesk", System: "Zendesk", Example: "https://acme.zendesk.com",
	Path: "/api/v2/tickets.json",
	Auth: []Auth{
		{Options: []string{"email", "api_token"}, Field: "Authorization", Value: "{email}/token:{api_token}", Basic: true},
		{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"},
	},
	Options: []Option{
		{Name: "email", Value: "<e-mail address>", Help: "of the agent that the API token is used for"},
		{Name: "api_token", Value: "<token>", Help: "of Admin Center › Apps and integrations › APIs › Zendesk API"},
		{Name: "access_token", Value: "<token>", Help: "of OAuth, instead of email and api_token"},
		{Name: "group_id", Kind: Integer, Value: "<id>", Help: "of the group that gets the ticket"},
		{Name: "brand_id", Kind: Integer, Value: "<id>", Help: "of the ticket's brand"},
		{Name: "ticket_form_id", Kind: Integer, Value: "<id>", Help: "of the ticket's form"},
		{Name: "priority", Value: "<priority>", Help: "low, normal, high or urgent"},
		{Name: "type", Value: "<type>", Help: "problem, incident, question or task"},
		{Name: "tags", Kind: Strings, Value: "<tag...>", Help: "in addition to the chat's labels", Default: []any{}},
		{Name: "public", Kind: Boolean, Value: "<true|false>", Help: "whether the customer sees the transcript", Default: true},
	},
	Format: HTML,
	Body: `{
		ticket: ({
			subject: (.subject | truncate(150)),
			comment: {html_body: ticket_html(60000; "bytes"), public: $public},
			external_id: .id,
			group_id: $group_id,
			brand_id: $brand_id,
			ticket_form_id: $ticket_form_id,
			priority: $priority,
			type: $type,
			tags: (.chat.labels + $tags | map(tag) | unique - [""])
		}
		+ if .customer.email then {requester: {name: (.customer.name // .customer.email | truncate(200)), email: .customer.email}} else {} end
		| without_nulls)
	}`,
	Success:   "201",
	TicketID:  ".body.ticket.id",
	TicketURL: `"\($base)/agent/tickets/\(.body.ticket.id)"`,
	Check: &Check{
		Path: "/api/v2/users/me.json",
		// Strangers are answered 200, too.
		Success: ".status == 200 and .body.user.id != null",
		Source:  "https://developer.zendesk.com/api-reference/ticketing/users/users/#show-self",
	},
	Repeat: "Idempotency-Key, for two hours; external_id is the delivery's id",
}
