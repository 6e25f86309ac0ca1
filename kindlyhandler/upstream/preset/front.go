package preset

// Front: https://dev.frontapp.com/reference/import-inbox-message
//
// The request is that of Front's OpenAPI description: the ticket is a message
// that came in, its sender any text that tells one from another. The import is
// only accepted (202) and happens later. What is imported would be archived and
// go by the rules unless it is said otherwise.
var front = &Preset{
	Name: "front", System: "Front", URL: "https://api2.frontapp.com", Example: "https://api2.frontapp.com",
	Path: "/inboxes/{inbox_id}/imported_messages",
	Auth: []Auth{{Options: []string{"api_token"}, Field: "Authorization", Value: "Bearer {api_token}"}},
	Options: []Option{
		{Name: "api_token", Value: "<token>", Help: "of Settings › Developers"},
		{Name: "inbox_id", Value: "<id>", Help: "of the inbox, such as inb_123", Required: true},
		{Name: "to", Value: "<address>", Help: "of the inbox", Required: true},
	},
	Format: HTML,
	Body: `{
		sender: ({
			handle: (.customer.email // .customer.phone // .chat.id),
			name: .customer.name
		} | without_nulls),
		to: [$to],
		subject,
		body: ticket_html(500000),
		body_format: "html",
		external_id: .id,
		created_at: (.received_at[:19] + "Z" | fromdateiso8601),
		type: "email",
		metadata: {thread_ref: .chat.id, is_inbound: true, is_archived: false, should_skip_rules: false}
	}`,
	Success:   "202",
	TicketID:  ".body.message_uid",
	TicketURL: "null",
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: UnixSeconds}},
	Check: &Check{
		Path:   "/inboxes/{inbox_id}",
		Source: "https://dev.frontapp.com/reference/inboxes",
	},
	Repeat: "external_id, the delivery's id",
}
