package preset

// Salesforce Service Cloud, cases: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_sobject_upsert.htm
// and https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm
//
// With external_id_field, the name of a text field of Case that is marked as
// external id and unique, a repeated request finds the case that is there: it is
// answered 204, or 200 since version 46.0. (Were the field not unique, 300.) A
// description has 32,000 characters. Access tokens expire with the session of
// the application's user, and their answer does not say when: oauth2 finds out
// by a 401. It works at the organisation's own domain only, not at
// login.salesforce.com, and gives the rights of that user.
var salesforce = &Preset{
	Name: "salesforce", System: "Salesforce", Example: "https://acme.my.salesforce.com",
	Path:   "/services/data/{api_version}/sobjects/Case",
	Upsert: &Upsert{Option: "external_id_field", Method: "PATCH", Path: "/services/data/{api_version}/sobjects/Case/{external_id_field}/{id}"},
	Auth:   []Auth{{Options: []string{"access_token"}, Field: "Authorization", Value: "Bearer {access_token}"}},
	OAuth2: OAuth2{TokenURL: "{base}/services/oauth2/token"},
	Options: []Option{
		{Name: "access_token", Value: "<token>", Help: "of an external client app, or a connected app"},
		{Name: "api_version", Value: "<version>", Help: "of the REST API", Default: "v62.0"},
		{Name: "external_id_field", Value: "<field>", Help: "of Case that gets the delivery's id, such as Kindly_Delivery__c"},
		{Name: "origin", Value: "<origin>", Help: "of the case", Default: "Chat"},
		{Name: "priority", Value: "<priority>", Help: "of the case"},
		{Name: "owner_id", Value: "<id>", Help: "of the user or queue that gets the case"},
		{Name: "record_type_id", Value: "<id>", Help: "of the case's record type"},
	},
	Format: Text,
	Body: `{
		Subject: .subject,
		Description: ticket_text(32000),
		Origin: $origin,
		Priority: $priority,
		OwnerId: $owner_id,
		RecordTypeId: $record_type_id,
		SuppliedEmail: (.customer.email | if . and length > 80 then null else . end),
		SuppliedName: (.customer.name | truncate(80))
	} | without_nulls`,
	Success:   ".status == 201 or .status == 204 or .status == 200 and .body.success == true",
	TicketID:  ".body.id",
	TicketURL: `.body.id | if . then "\($base)/lightning/r/Case/\(.)/view" else null end`,
	Throttled: `.status == 403 and .body[0].errorCode == "REQUEST_LIMIT_EXCEEDED"`,
	MinWait:   900,
	Check: &Check{
		Path:   "/services/data/{api_version}/sobjects/Case",
		Source: "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_sobject_basic_info.htm",
	},
	Repeat: "external_id_field, if it is set",
}
