package preset

// Dixa: https://docs.dixa.io/docs/api-standards-rules/ and https://docs.dixa.io/openapi/dixa-api/v1/tag/Conversations/
//
// A requester has to be there: all conversations are one end user's, and who
// the customer is stands in the text. Unsure: the length of a text.
var dixa = &Preset{
	Name: "dixa", System: "Dixa", URL: "https://dev.dixa.io", Example: "https://dev.dixa.io",
	Path: "/v1/conversations",
	Auth: []Auth{{Options: []string{"api_token"}, Field: "Authorization", Value: "Bearer {api_token}"}},
	Options: []Option{
		{Name: "api_token", Value: "<token>", Help: "of Settings › Integrations › API tokens"},
		{Name: "requester_id", Value: "<id>", Help: "of the end user whose conversations they are, a UUID", Required: true},
		{Name: "email_integration_id", Value: "<address>", Help: "of the contact form's e-mail integration", Required: true},
		{Name: "language", Value: "<code>", Help: "of the conversation, for chats without one"},
	},
	Format: Text,
	Body: `{
		"_type": "ContactForm",
		requesterId: $requester_id,
		emailIntegrationId: $email_integration_id,
		subject,
		language: (if .language == "" then $language else .language end),
		message: {"_type": "Inbound", content: {"_type": "Text", value: ticket_text(60000)}}
	} | without_nulls`,
	Success:   "200 201",
	TicketID:  ".body.data.id",
	TicketURL: "null",
	MinWait:   1,
}
