package preset

// Redmine: https://www.redmine.org/projects/redmine/wiki/Rest_Issues
//
// An instance formats texts as Textile or as Markdown (Administration › Settings ›
// General › Text formatting), so it must be said which. In Textile the ticket is
// preformatted, which nothing in it can end.
var redmine = &Preset{
	Name: "redmine", System: "Redmine", Example: "https://redmine.example.com",
	Path: "/issues.json",
	Auth: []Auth{{Options: []string{"api_key"}, Field: "X-Redmine-API-Key", Value: "{api_key}"}},
	Options: []Option{
		{Name: "project_id", Value: "<identifier>", Help: "of the project that gets the issue", Required: true},
		{Name: "text_formatting", Value: "<textile|markdown>", Help: "as of Administration › Settings › General", Required: true, Choices: []string{"textile", "markdown"}},
		{Name: "api_key", Value: "<key>", Help: "of My account › API access key"},
		{Name: "tracker_id", Kind: Integer, Value: "<id>", Help: "of the issue's tracker"},
		{Name: "priority_id", Kind: Integer, Value: "<id>", Help: "of the issue's priority"},
		{Name: "category_id", Kind: Integer, Value: "<id>", Help: "of the issue's category"},
		{Name: "assigned_to_id", Kind: Integer, Value: "<id>", Help: "of the user who gets the issue"},
	},
	Format: Markdown,
	Body: `{
		issue: ({
			project_id: $project_id,
			subject,
			description: (
				if $text_formatting == "markdown" then ticket_markdown(60000)
				else ticket_text(60000; "bytes") | "<pre>\n" + (split("</") | join("< /")) + "\n</pre>" end),
			tracker_id: $tracker_id,
			priority_id: $priority_id,
			category_id: $category_id,
			assigned_to_id: $assigned_to_id
		} | without_nulls)
	}`,
	Success:   "201",
	TicketID:  ".body.issue.id",
	TicketURL: `"\($base)/issues/\(.body.issue.id)"`,
	Check: &Check{
		Path:   "/users/current.json",
		Source: "https://www.redmine.org/projects/redmine/wiki/Rest_Users",
	},
}
