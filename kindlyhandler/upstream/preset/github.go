package preset

// GitHub Issues: https://docs.github.com/en/rest/issues/issues#create-an-issue and
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
//
// The request is checked against GitHub's OpenAPI description. A rate limit is
// 403 or 429; one that has no header asks for a minute, and is told from a
// missing permission by its message. An issue has at most 65,536 characters,
// which the API says when there are more.
var github = &Preset{
	Name: "github", System: "GitHub", URL: "https://api.github.com", Example: "https://github.example.com/api/v3",
	Path: "/repos/{owner}/{repo}/issues",
	Header: map[string]string{
		"Accept":               "application/vnd.github+json",
		"X-GitHub-Api-Version": "2022-11-28",
	},
	Auth: []Auth{{Options: []string{"token"}, Field: "Authorization", Value: "Bearer {token}"}},
	Options: []Option{
		{Name: "owner", Value: "<account>", Help: "that the repository belongs to", Required: true},
		{Name: "repo", Value: "<name>", Help: "of the repository that gets the issue", Required: true},
		{Name: "token", Value: "<token>", Help: "with write access to the repository's issues"},
		{Name: "labels", Kind: Strings, Value: "<label...>", Help: "in addition to the chat's", Default: []any{}},
		{Name: "assignees", Kind: Strings, Value: "<login...>", Help: "who gets the issue", Default: []any{}},
	},
	Format: Markdown,
	Body: `{
		title: .subject,
		body: ticket_markdown(60000),
		labels: (.chat.labels + $labels | map(truncate(50)) | unique),
		assignees: $assignees
	}`,
	Success:   "201",
	TicketID:  ".body.number",
	TicketURL: ".body.html_url",
	Throttled: `.status == 403 and (.body.message | ascii_downcase | contains("rate limit"))`,
	Wait:      []Wait{{Field: "X-RateLimit-Reset", Format: UnixSeconds, WhenZero: "X-RateLimit-Remaining"}},
	MinWait:   60,
	Check: &Check{
		Path:   "/repos/{owner}/{repo}",
		Source: "https://docs.github.com/en/rest/repos/repos#get-a-repository",
	},
}
