package preset

// Linear: https://linear.app/developers/graphql and https://linear.app/developers/rate-limiting
//
// The request is checked against Linear's GraphQL schema. An answer of 200 can be
// an error. The id is chosen here, and Linear wants one of version 4.
// A rate limit is told by the error's code or, as Linear's own SDK does, by its
// type. Unsure: what Linear answers when it has that id already, so a repeat
// whose first answer was lost can end as a dead letter of an issue that is there.
var linear = &Preset{
	Name: "linear", System: "Linear", URL: "https://api.linear.app", Example: "https://api.linear.app",
	Path: "/graphql",
	Auth: []Auth{
		{Options: []string{"api_key"}, Field: "Authorization", Value: "{api_key}"},
		{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"},
	},
	Options: []Option{
		{Name: "api_key", Value: "<key>", Help: "of Settings › Security & access"},
		{Name: "access_token", Value: "<token>", Help: "of OAuth, instead of api_key"},
		{Name: "team_id", Value: "<id>", Help: "of the team that gets the issue, a UUID", Required: true},
		{Name: "project_id", Value: "<id>", Help: "of the issue's project, a UUID"},
		{Name: "label_ids", Kind: Strings, Value: "<id...>", Help: "of labels, UUIDs", Default: []any{}},
	},
	Format: Markdown,
	Body: `{
		query: "mutation IssueCreate($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { identifier url } } }",
		variables: {
			input: ({
				id: (.id | uuid4),
				teamId: $team_id,
				projectId: $project_id,
				labelIds: $label_ids,
				title: .subject,
				description: ticket_markdown(100000)
			} | without_nulls)
		}
	}`,
	Success:   ".status == 200 and .body.data.issueCreate.success == true",
	TicketID:  ".body.data.issueCreate.issue.identifier",
	TicketURL: ".body.data.issueCreate.issue.url",
	Throttled: `any(.body.errors[].extensions; .code == "RATELIMITED" or .type == "ratelimited")`,
	Wait:      []Wait{{Field: "X-RateLimit-Requests-Reset", Format: UnixMilliseconds, WhenZero: "X-RateLimit-Requests-Remaining"}},
	MinWait:   60,
	Repeat:    "the issue's id, made of the delivery's",
}
