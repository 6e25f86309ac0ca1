package preset

// ServiceNow's Table API, incidents: https://www.servicenow.com/docs/bundle/xanadu-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html
//
// A description has 4000 characters and a short description 160 unless an
// instance has changed that. Unsure: the address of an incident's page.
var serviceNow = &Preset{
	Name: "servicenow", System: "ServiceNow", Example: "https://acme.service-now.com",
	Path:   "/api/now/table/incident",
	Header: map[string]string{"Accept": "application/json"},
	Auth: []Auth{
		{Options: []string{"user", "password"}, Field: "Authorization", Value: "{user}:{password}", Basic: true},
		{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"},
	},
	Options: []Option{
		{Name: "user", Value: "<name>", Help: "of an account with the role itil"},
		{Name: "password", Value: "<password>", Help: "of that account"},
		{Name: "access_token", Value: "<token>", Help: "of OAuth, instead of user and password"},
		{Name: "assignment_group", Value: "<sys_id>", Help: "of the group that gets the incident"},
		{Name: "caller_id", Value: "<sys_id>", Help: "of the user who is the caller of all these incidents"},
		{Name: "category", Value: "<value>", Help: "of the incident's category"},
	},
	Format: Text,
	Body: `{
		short_description: (.subject | truncate(160)),
		description: ticket_text(4000),
		correlation_id: .id,
		correlation_display: "Kindly",
		assignment_group: $assignment_group,
		caller_id: $caller_id,
		category: $category
	} | without_nulls`,
	Success:   "201",
	TicketID:  ".body.result.number",
	TicketURL: `"\($base)/nav_to.do?uri=incident.do%3Fsys_id%3D\(.body.result.sys_id)"`,
	Check: &Check{
		Path:   "/api/now/table/incident?sysparm_limit=1&sysparm_fields=sys_id",
		Source: "https://www.servicenow.com/docs/bundle/xanadu-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html",
	},
}
