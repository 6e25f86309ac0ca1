package preset

// GitLab Issues: https://docs.gitlab.com/api/issues/#new-issue
//
// The request is checked against the parameters that GitLab's source declares,
// an older version of it. A chat has personal data, so the issue is confidential
// unless that is turned off. Quick actions in a chat do nothing: its Markdown is
// escaped.
var gitlab = &Preset{
	Name: "gitlab", System: "GitLab", URL: "https://gitlab.com", Example: "https://gitlab.example.com",
	Path: "/api/v4/projects/{project}/issues",
	Auth: []Auth{{Options: []string{"private_token"}, Field: "PRIVATE-TOKEN", Value: "{private_token}"}},
	Options: []Option{
		{Name: "project", Value: "<id or path>", Help: "of the project that gets the issue, such as acme/support", Required: true},
		{Name: "private_token", Value: "<token>", Help: "with the scope api"},
		{Name: "labels", Kind: Strings, Value: "<label...>", Help: "in addition to the chat's", Default: []any{}},
		{Name: "confidential", Kind: Boolean, Value: "<true|false>", Help: "whether only members see the issue", Default: true},
	},
	Format: Markdown,
	Body: `{
		title: .subject,
		description: ticket_markdown(1000000),
		confidential: $confidential,
		labels: (.chat.labels + $labels | map(split(",") | join(" ") | truncate(255)) | unique | join(","))
	}`,
	Success:   "201",
	TicketID:  ".body.iid",
	TicketURL: ".body.web_url",
	Wait:      []Wait{{Field: "RateLimit-Reset", Format: UnixSeconds}},
	Check: &Check{
		Path:   "/api/v4/projects/{project}",
		Source: "https://docs.gitlab.com/api/projects/",
	},
}
