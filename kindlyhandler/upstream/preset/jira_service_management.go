package preset

// Jira Service Management Cloud: https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-request/
//
// The request is that of Atlassian's OpenAPI description. A request type's form
// decides which fields there are: those of the body are summary and description.
// A description of plain text would be read as Jira's old mark-up, as the
// description's own example shows, and a visitor's images and links with it;
// hence isAdfRequest, which Atlassian calls experimental. raise_on_behalf_of
// sends an e-mail address where the description speaks of an account id only:
// unsure, so try it before. It does so for verified customers only: anybody can
// type anybody's address into a chat.
var jiraServiceManagement = &Preset{
	Name: "jira_service_management", System: "Jira Service Management", Example: "https://acme.atlassian.net",
	Path: "/rest/servicedeskapi/request",
	Auth: atlassianAuth,
	Options: append([]Option{
		{Name: "service_desk_id", Value: "<id>", Help: "of the service desk", Required: true},
		{Name: "request_type_id", Value: "<id>", Help: "of the request's type", Required: true},
		{Name: "raise_on_behalf_of", Kind: Boolean, Value: "<true|false>", Help: "whether the request is the customer's, if that is verified; who must be one of the project", Default: false},
	}, atlassianOptions...),
	Format: ADF,
	Body: `{
		serviceDeskId: $service_desk_id,
		requestTypeId: $request_type_id,
		requestFieldValues: {summary: .subject, description: ticket_adf(32000)},
		isAdfRequest: true
	} + if $raise_on_behalf_of and .customer.verified and .customer.email then {raiseOnBehalfOf: .customer.email} else {} end`,
	Success:   "201",
	TicketID:  ".body.issueKey",
	TicketURL: ".body._links.web",
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: ISO8601}},
	Check: &Check{
		Path:   "/rest/servicedeskapi/servicedesk/{service_desk_id}",
		Source: "https://developer.atlassian.com/cloud/jira/service-desk/rest/api-group-servicedesk/",
	},
}
