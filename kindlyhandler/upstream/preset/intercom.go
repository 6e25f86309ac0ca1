package preset

// Intercom: https://developers.intercom.com/docs/references/rest-api/api.intercom.io/tickets/createticket
//
// Accounts in Europe and Australia have other addresses than the default. The
// attributes are those that every type of ticket has. Unsure: the length of a
// description, and whether a contact is made of an external id that is new.
var intercom = &Preset{
	Name: "intercom", System: "Intercom", URL: "https://api.intercom.io", Example: "https://api.eu.intercom.io",
	Path:   "/tickets",
	Header: map[string]string{"Accept": "application/json", "Intercom-Version": "2.11"},
	Auth:   []Auth{{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"}},
	Options: []Option{
		{Name: "access_token", Value: "<token>", Help: "of an app of yours"},
		{Name: "ticket_type_id", Value: "<id>", Help: "of the ticket's type", Required: true},
	},
	Format: Text,
	Body: `{
		ticket_type_id: $ticket_type_id,
		contacts: [if .customer.email then {email: .customer.email} else {external_id: (.customer.id // .chat.id)} end],
		ticket_attributes: {"_default_title_": .subject, "_default_description_": ticket_text(30000)}
	}`,
	Success:   `.status == 200 and .body.type == "ticket"`,
	TicketID:  ".body.ticket_id",
	TicketURL: "null",
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: UnixSeconds}},
}
