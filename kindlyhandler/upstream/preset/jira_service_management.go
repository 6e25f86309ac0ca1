package preset

// Jira Service Management Cloud: https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-request/
//
// A request type's form decides which fields there are: those of the body are
// summary and description. Unsure: whether a description may be one of plain
// text with Jira's old mark-up in it, so that a visitor could format text; it
// can do no more than that. raise_on_behalf_of needs an account id or the e-mail
// address of a customer of the project.
var jiraServiceManagement = &Preset{
	Name: "jira_service_management", System: "Jira Service Management", Example: "https://acme.atlassian.net",
	Path: "/rest/servicedeskapi/request",
	Auth: atlassianAuth,
	Options: append([]Option{
		{Name: "service_desk_id", Value: "<id>", Help: "of the service desk", Required: true},
		{Name: "request_type_id", Value: "<id>", Help: "of the request's type", Required: true},
		{Name: "raise_on_behalf_of", Kind: Boolean, Value: "<true|false>", Help: "whether the request is the customer's, who must be one of the project", Default: false},
	}, atlassianOptions...),
	Format: Text,
	Body: `{
		serviceDeskId: $service_desk_id,
		requestTypeId: $request_type_id,
		requestFieldValues: {summary: .subject, description: ticket_text(32000)}
	} + if $raise_on_behalf_of and .customer.email then {raiseOnBehalfOf: .customer.email} else {} end`,
	Success:   "201",
	TicketID:  ".body.issueKey",
	TicketURL: ".body._links.web",
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: ISO8601}},
}
