package preset

// Dynamics 365 Customer Service: https://learn.microsoft.com/en-us/power-apps/developer/data-platform/webapi/update-delete-entities-using-web-api
//
// The case's id is chosen here: PATCH makes it, and If-None-Match makes a repeat
// answer 412 when it is there. A creation whose answer has the case is 201, without
// OData-EntityId; without the case it is 204, with that header. A case needs a
// customer, who has to be there: all cases are one contact's. A description has
// 2000 characters unless an environment has changed that.
//
// Access tokens expire after about an hour. The token endpoint is
// https://login.microsoftonline.com/<tenant id>/oauth2/v2.0/token, and the
// application has to be an application user of the environment.
var dynamics365 = &Preset{
	Name: "dynamics_365", System: "Dynamics 365", Example: "https://acme.crm.dynamics.com",
	Method: "PATCH", Path: "/api/data/v9.2/incidents({id})",
	Header: map[string]string{
		"Accept":           "application/json",
		"If-None-Match":    "*",
		"OData-MaxVersion": "4.0",
		"OData-Version":    "4.0",
		"Prefer":           "return=representation",
	},
	Auth:   []Auth{{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"}},
	OAuth2: OAuth2{Scope: "{base}/.default"},
	Options: []Option{
		{Name: "access_token", Value: "<token>", Help: "of Microsoft Entra ID"},
		{Name: "customerid_contact", Value: "<id>", Help: "of the contact that is the customer of all these cases", Required: true},
		{Name: "caseorigincode", Kind: Integer, Value: "<number>", Help: "3 is the web", Default: 3},
	},
	Format: Text,
	Body: `{
		title: .subject,
		description: ticket_text(2000),
		caseorigincode: $caseorigincode,
		"customerid_contact@odata.bind": "/contacts(\($customerid_contact))"
	}`,
	Success:   ".status == 201 or .status == 204 or .status == 412 or .status == 200 and .body.incidentid != null",
	TicketID:  `.body.ticketnumber? // null`,
	TicketURL: `.body.incidentid? // (.headers["odata-entityid"] // "" | split("(")[1] // "" | split(")")[0]) | if . then "\($base)/main.aspx?etn=incident&pagetype=entityrecord&id=\(.)" else null end`,
	Check: &Check{
		Path:   "/api/data/v9.2/WhoAmI",
		Source: "https://learn.microsoft.com/en-us/power-apps/developer/data-platform/webapi/quick-start-console-app-csharp",
	},
	Repeat: "the case's id, the delivery's",
}
