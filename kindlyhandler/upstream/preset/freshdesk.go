package preset

// Freshdesk: https://developers.freshdesk.com/api/#create_ticket
//
// A ticket needs a requester. Without an e-mail address it is the chat's user,
// who becomes a contact with that external id. Source 7 is a chat. A tag has at
// most 32 characters.
var freshdesk = &Preset{
	Name: "freshdesk", System: "Freshdesk", Example: "https://acme.freshdesk.com",
	Path: "/api/v2/tickets",
	Auth: []Auth{{Options: []string{"api_key"}, Field: "Authorization", Value: "{api_key}:X", Basic: true}},
	Options: []Option{
		{Name: "api_key", Value: "<key>", Help: "of Profile settings › View API key"},
		{Name: "status", Kind: Integer, Value: "<number>", Help: "2 is open", Default: 2},
		{Name: "priority", Kind: Integer, Value: "<number>", Help: "1 is low, 4 urgent", Default: 1},
		{Name: "group_id", Kind: Integer, Value: "<id>", Help: "of the group that gets the ticket"},
		{Name: "product_id", Kind: Integer, Value: "<id>", Help: "of the ticket's product"},
		{Name: "type", Value: "<type>", Help: "such as Question"},
		{Name: "tags", Kind: Strings, Value: "<tag...>", Help: "in addition to the chat's labels", Default: []any{}},
	},
	Format: HTML,
	Body: `({
		subject,
		description: ticket_html(500000),
		status: $status,
		priority: $priority,
		source: 7,
		group_id: $group_id,
		product_id: $product_id,
		type: $type,
		tags: (.chat.labels + $tags | map(split(",") | join(" ") | truncate(32)) | unique),
		name: (.customer.name | truncate(255))
	}
	+ if .customer.email then {email: .customer.email}
		else {unique_external_id: (.customer.id // .chat.id), name: (.customer.name // "Chat \(.chat.id)" | truncate(255))} end
	) | without_nulls`,
	Success:   "201",
	TicketID:  ".body.id",
	TicketURL: `"\($base)/a/tickets/\(.body.id)"`,
	Check: &Check{
		Path:   "/api/v2/agents/me",
		Source: "https://developers.freshdesk.com/api/#me",
	},
}
