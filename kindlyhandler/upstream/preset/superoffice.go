package preset

// SuperOffice: https://docs.superoffice.com/en/api/reference/restful/rest/Ticket/v1TicketEntity_HttpPostSaveTicketEntityWithNotify.html
//
// A ticket's messages are entities of their own that need the ticket's id, and
// one request makes a ticket without any. So the chat goes into a field that an
// administrator has added to the ticket, as text; the ticket's list of messages
// is empty.
//
// SuperOffice's cloud gives access tokens for an hour, by a person's log-in and
// then refresh tokens; for servers it has signed system user tokens, which become
// a ticket for the headers `Authorization: SOTicket …` and SO-AppToken. Both
// have to be renewed by something else, in a file. It announces client
// credentials, which is when oauth2 will work there. Installations of one's own
// take user and password.
//
// Unsure: whether a ticket needs a category; how long the field may be; where a
// ticket is on the web, so there is no link.
var superOffice = &Preset{
	Name: "superoffice", System: "SuperOffice", Example: "https://online.superoffice.com/Cust12345",
	Path:   "/api/v1/Ticket?notify=true",
	Header: map[string]string{"Accept": "application/json"},
	Auth: []Auth{
		{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"},
		{Options: []string{"user", "password"}, Field: "Authorization", Value: "{user}:{password}", Basic: true},
	},
	Options: []Option{
		{Name: "custom_field", Value: "<name>", Help: "of the ticket's field that gets the chat, a long text, such as x_kindly_chat", Required: true},
		{Name: "access_token", Value: "<token>", Help: "of SuperOffice's cloud, good for an hour"},
		{Name: "user", Value: "<user>", Help: "of an installation of one's own"},
		{Name: "password", Value: "<password>", Help: "of the user"},
		{Name: "ticket_category_id", Kind: Integer, Value: "<id>", Help: "of the ticket's category"},
		{Name: "ticket_priority_id", Kind: Integer, Value: "<id>", Help: "of the ticket's priority"},
		{Name: "associate_id", Kind: Integer, Value: "<id>", Help: "of the ticket's owner; 2147483647 is whom the category's rules choose"},
		{Name: "person_id", Kind: Integer, Value: "<id>", Help: "of the contact that is the customer of all these tickets"},
	},
	Format: Text,
	Body: `{
		Title: .subject,
		Author: (.customer.email // .customer.name | truncate(255)),
		FromAddress: (.customer.email | truncate(255)),
		Category: (if $ticket_category_id then {TicketCategoryId: $ticket_category_id} else null end),
		Priority: (if $ticket_priority_id then {TicketPriorityId: $ticket_priority_id} else null end),
		OwnedBy: (if $associate_id then {AssociateId: $associate_id} else null end),
		Person: (if $person_id then {PersonId: $person_id} else null end),
		CustomFields: {($custom_field): ticket_text(60000)}
	} | without_nulls`,
	Success:   ".status == 200 and (.body.TicketId? // 0) > 0",
	TicketID:  ".body.TicketId",
	TicketURL: "null",
	Check: &Check{
		Path:   "/api/v1/User/currentPrincipal",
		Source: "https://docs.superoffice.com/en/api/reference/restful/rest/User/v1User_GetCurrentPrincipal.html",
	},
}
