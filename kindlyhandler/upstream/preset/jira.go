package preset

// Jira Cloud: https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/
//
// The request is checked against Atlassian's OpenAPI description, its document
// against the JSON schema of the format. A description has at most 32,767
// characters, and those of its document's JSON count; Atlassian does not
// document that, users report it. Labels have no spaces.
var jira = &Preset{
	Name: "jira", System: "Jira", Example: "https://acme.atlassian.net",
	Path: "/rest/api/3/issue",
	Auth: atlassianAuth,
	Options: append([]Option{
		{Name: "project", Value: "<key>", Help: "of the project that gets the issue, such as SUP", Required: true},
		{Name: "issuetype", Value: "<name>", Help: "of the issue's type", Default: "Task"},
		{Name: "priority", Value: "<name>", Help: "of the issue's priority"},
		{Name: "labels", Kind: Strings, Value: "<label...>", Help: "in addition to the chat's", Default: []any{}},
	}, atlassianOptions...),
	Format: ADF,
	Body: `{
		fields: ({
			project: {key: $project},
			issuetype: {name: $issuetype},
			summary: .subject,
			description: ticket_adf(32000),
			labels: (.chat.labels + $labels | map(tag | truncate(255)) | unique - [""]),
			priority: (if $priority then {name: $priority} else null end)
		} | without_nulls)
	}`,
	Success:   "201",
	TicketID:  ".body.key",
	TicketURL: `"\($base)/browse/\(.body.key)"`,
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: ISO8601}},
	Check: &Check{
		Path:   "/rest/api/3/myself",
		Source: "https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-myself/",
	},
}

var (
	atlassianAuth = []Auth{
		{Options: []string{"email", "api_token"}, Field: "Authorization", Value: "{email}:{api_token}", Basic: true},
		{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"},
	}
	atlassianOptions = []Option{
		{Name: "email", Value: "<e-mail address>", Help: "of the account that the API token belongs to"},
		{Name: "api_token", Value: "<token>", Help: "of id.atlassian.com › Security › API tokens"},
		{Name: "access_token", Value: "<token>", Help: "of OAuth, instead of email and api_token"},
	}
)
