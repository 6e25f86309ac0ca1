package preset

// Intercom: https://developers.intercom.com/docs/references/rest-api/api.intercom.io/tickets/createticket
//
// The request is that of Intercom's OpenAPI description. Accounts in Europe and
// Australia have other addresses than the default. The attributes are those that
// every type of ticket has. Of an e-mail address that is new a contact is made;
// the description does not say so of an external id, so tickets of chats without
// an e-mail address are better the option contact_id's. Unsure: the length of a
// description.
var intercom = &Preset{
	Name: "intercom", System: "Intercom", URL: "https://api.intercom.io", Example: "https://api.eu.intercom.io",
	Path:   "/tickets",
	Header: map[string]string{"Accept": "application/json", "Intercom-Version": "2.11"},
	Auth:   []Auth{{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"}},
	Options: []Option{
		{Name: "access_token", Value: "<token>", Help: "of an app of yours"},
		{Name: "ticket_type_id", Value: "<id>", Help: "of the ticket's type", Required: true},
		{Name: "contact_id", Value: "<id>", Help: "of the contact whose ticket it is when the chat has no e-mail address"},
	},
	Format: Text,
	Body: `{
		ticket_type_id: $ticket_type_id,
		contacts: [
			if .customer.email then {email: .customer.email}
			elif $contact_id then {id: $contact_id}
			else {external_id: (.customer.id // .chat.id)} end
		],
		ticket_attributes: {"_default_title_": .subject, "_default_description_": ticket_text(30000)}
	}`,
	Success:   `.status == 200 and .body.type == "ticket"`,
	TicketID:  ".body.ticket_id",
	TicketURL: "null",
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: UnixSeconds}},
	Check: &Check{
		Path:    "/me",
		Success: `.status == 200 and .body.type == "admin"`,
		Source:  "https://developers.intercom.com/docs/references/2.11/rest-api/api.intercom.io/admins/identifyadmin",
	},
}
