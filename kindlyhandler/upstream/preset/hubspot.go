package preset

// HubSpot Service Hub: https://developers.hubspot.com/docs/api/crm/tickets
//
// The request is checked against HubSpot's OpenAPI description, in which every
// property is a string. The stage is the internal id of one, not its name.
// Unsure: the length of the content. A rate limit is for ten seconds.
var hubspot = &Preset{
	Name: "hubspot", System: "HubSpot", URL: "https://api.hubapi.com", Example: "https://api.hubapi.com",
	Path: "/crm/v3/objects/tickets",
	Auth: []Auth{{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"}},
	Options: []Option{
		{Name: "access_token", Value: "<token>", Help: "of a private app with the scope tickets"},
		{Name: "hs_pipeline", Value: "<id>", Help: "of the pipeline", Default: "0"},
		{Name: "hs_pipeline_stage", Value: "<id>", Help: "of the stage in the pipeline, a number", Default: "1"},
		{Name: "hubspot_owner_id", Value: "<id>", Help: "of the owner"},
		{Name: "portal_id", Value: "<id>", Help: "of your account (the Hub ID), for the ticket's address"},
	},
	Format: Text,
	Body: `{
		properties: ({
			subject,
			content: ticket_text(60000),
			hs_pipeline: $hs_pipeline,
			hs_pipeline_stage: $hs_pipeline_stage,
			hubspot_owner_id: $hubspot_owner_id
		} | without_nulls),
		associations: []
	}`,
	Success:   "201",
	TicketID:  ".body.id",
	TicketURL: `if $portal_id then "https://app.hubspot.com/contacts/\($portal_id)/ticket/\(.body.id)" else null end`,
	MinWait:   10,
	Check: &Check{
		Path:   "/crm/v3/pipelines/tickets",
		Source: "https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide",
	},
}
