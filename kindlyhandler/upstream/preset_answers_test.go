package upstream

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// reply is what a system answers, after its vendor's documentation, shortened.
// Each preset's list begins with where that is. The bodies that are an API
// description's are its examples; those after other pages have the form that
// these describe, with words of our own.
type reply struct {
	status int
	header http.Header
	body   string
}

// expectation is what has to be made of it. BASE in a link is the address of
// the system.
type expectation struct {
	verdict delivery.Verdict
	ticket  delivery.Ticket
	wait    time.Duration
	hold    bool
}

var (
	delivered = func(id, url string) expectation {
		return expectation{verdict: delivery.Success, ticket: delivery.Ticket{ID: id, URL: url}}
	}
	permanent     = expectation{verdict: delivery.Permanent}
	misconfigured = expectation{verdict: delivery.Misconfigured}
	refused       = expectation{verdict: delivery.Refused}
	later         = expectation{verdict: delivery.Transient}
	held          = func(wait time.Duration) expectation {
		return expectation{verdict: delivery.Transient, hold: true, wait: wait}
	}
)

const date = "Sun, 22 Nov 2026 14:28:00 GMT"

func fields(pairs ...string) http.Header {
	header := http.Header{"Date": {date}}
	for i := 0; i < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return header
}

type answerTest struct {
	name  string
	reply reply
	want  expectation
}

var presetAnswers = map[string][]answerTest{
	// The OpenAPI description for the ticket; https://developer.zendesk.com/api-reference/introduction/requests/ and …/rate-limits/ for the rest
	"zendesk": {
		{"created", reply{201, fields("X-Idempotency-Lookup", "miss"), `{"ticket":{"id":35436,"url":"https://company.zendesk.com/api/v2/tickets/35436","external_id":"ahg35h3jh","group_id":98738,"status":"open","subject":"Help, my printer is on fire!","tags":["enterprise","other_tag"],"via":{"channel":"web"}}}`}, delivered("35436", "BASE/agent/tickets/35436")},
		{"created before", reply{201, fields("X-Idempotency-Lookup", "hit"), `{"ticket":{"id":35436}}`}, delivered("35436", "BASE/agent/tickets/35436")},
		{"rate limit", reply{429, fields("Retry-After", "93"), `{"error":"APIRateLimitExceeded","description":"Number of allowed API requests per minute exceeded"}`}, held(93 * time.Second)},
		{"validation", reply{422, fields(), `{"details":{"base":[{"description":"Requester: Name: is too short","error":null}]},"description":"Record validation errors","error":"RecordInvalid"}`}, permanent},
		{"credentials", reply{401, fields(), `{"error":"Couldn't authenticate you"}`}, misconfigured},
		{"a login page", reply{200, fields(), `<html></html>`}, refused},
	},
	// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and https://docs.slack.dev/apis/web-api/rate-limits
	"slack": {
		{"posted", reply{200, fields(), "ok"}, delivered("", "")},
		{"rate limit", reply{429, fields("Retry-After", "30"), `{"ok":false,"error":"rate_limited"}`}, held(30 * time.Second)},
		{"bad blocks", reply{400, fields(), "invalid_blocks"}, permanent},
		{"not allowed", reply{403, fields(), "action_prohibited"}, refused},
		{"webhook removed", reply{404, fields(), "no_service"}, refused},
		{"channel archived", reply{410, fields(), "channel_is_archived"}, refused},
		{"something else", reply{200, fields(), "<html>"}, refused},
	},
	// The OpenAPI description; https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ for the headers
	"jira": {
		{"created", reply{201, fields(), `{"id":"10000","key":"ED-24","self":"https://your-domain.atlassian.net/rest/api/3/issue/10000","transition":{"status":200,"errorCollection":{"errorMessages":[],"errors":{}}}}`}, delivered("ED-24", "BASE/browse/ED-24")},
		{"rate limit", reply{429, fields("Retry-After", "8", "X-RateLimit-Reset", "2026-11-22T15:00Z"), ``}, held(8 * time.Second)},
		{"rate limit until", reply{429, fields("X-RateLimit-Reset", "2026-11-22T14:30Z"), ``}, held(2 * time.Minute)},
		{"validation", reply{400, fields(), `{"errorMessages":["Field 'priority' is required"],"errors":{}}`}, permanent},
		{"credentials", reply{401, fields(), `{"errorMessages":["Authentication credentials are incorrect or missing."],"errors":{}}`}, misconfigured},
		{"no permission", reply{403, fields(), `{"errorMessages":[],"errors":{}}`}, refused},
		{"overloaded", reply{503, fields("Retry-After", "5"), ``}, expectation{verdict: delivery.Transient, wait: 5 * time.Second}},
	},
	// The OpenAPI description; limits as of Jira
	"jira_service_management": {
		{"created", reply{201, fields(), `{"_expands":["participant","status"],"issueId":"107001","issueKey":"HELPDESK-1","requestTypeId":"25","serviceDeskId":"10","_links":{"jiraRest":"https://your-domain.atlassian.net/rest/api/2/issue/107001","web":"https://your-domain.atlassian.net/servicedesk/customer/portal/10/HELPDESK-1","self":"https://your-domain.atlassian.net/rest/servicedeskapi/request/107001","agent":"https://your-domain.atlassian.net/browse/HELPDESK-1"}}`}, delivered("HELPDESK-1", "https://your-domain.atlassian.net/servicedesk/customer/portal/10/HELPDESK-1")},
		{"rate limit", reply{429, fields("Retry-After", "8"), ``}, held(8 * time.Second)},
		{"validation", reply{400, fields(), `{"errorMessage":"Your request could not be created. Please check the fields have been filled in correctly."}`}, permanent},
		{"credentials", reply{401, fields(), ``}, misconfigured},
		{"no permission", reply{403, fields(), `{"errorMessage":"The user does not have permission to complete this request."}`}, refused},
	},
	// The OpenAPI description; https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api for the limits
	"github": {
		{"created", reply{201, fields(), `{"id":1,"node_id":"MDU6SXNzdWUx","url":"https://api.github.com/repos/octocat/Hello-World/issues/1347","html_url":"https://github.com/octocat/Hello-World/issues/1347","number":1347,"state":"open","title":"Found a bug"}`}, delivered("1347", "https://github.com/octocat/Hello-World/issues/1347")},
		{"primary limit", reply{403, fields("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795357980"), `{"message":"API rate limit exceeded for user ID 1."}`}, held(5 * time.Minute)},
		{"secondary limit", reply{403, fields("Retry-After", "60", "X-RateLimit-Remaining", "4000", "X-RateLimit-Reset", "1795357980"), `{"message":"You have exceeded a secondary rate limit."}`}, held(time.Minute)},
		{"secondary limit, no header", reply{403, fields("X-RateLimit-Remaining", "4000", "X-RateLimit-Reset", "1795357980"), `{"message":"You have exceeded a secondary rate limit."}`}, held(time.Minute)},
		{"limit by 429", reply{429, fields("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795357980"), ``}, held(5 * time.Minute)},
		{"no permission", reply{403, fields("X-RateLimit-Remaining", "4000"), `{"message":"Resource not accessible by personal access token"}`}, refused},
		{"validation", reply{422, fields(), `{"message":"Validation Failed","documentation_url":"https://docs.github.com/rest","errors":[{"resource":"Issue","code":"missing_field","field":"title"}]}`}, permanent},
		{"credentials", reply{401, fields(), `{"message":"Bad credentials"}`}, misconfigured},
		{"issues are off", reply{410, fields(), `{"message":"Issues are disabled for this repo"}`}, refused},
		{"no repository", reply{404, fields(), `{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}`}, refused},
		{"unavailable", reply{503, fields(), `{"code":"x","message":"Service unavailable","documentation_url":"https://docs.github.com/rest"}`}, expectation{verdict: delivery.Transient}},
	},
	// What Request Tracker 5 answers
	"request_tracker": {
		{"created", reply{201, fields("Location", "/REST/2.0/ticket/1"), `{"_url":"https://rt.example.com/REST/2.0/ticket/1","id":"1","type":"ticket"}`}, delivered("1", "BASE/Ticket/Display.html?id=1")},
		{"validation", reply{400, fields(), `{"message":"Could not create ticket. Queue not set"}`}, permanent},
		{"credentials", reply{401, fields(), `{"message":"Unauthorized"}`}, misconfigured},
		{"no permission, no queue", reply{403, fields(), `{"message":"No permission to create tickets in the queue 'Sales'"}`}, refused},
		{"full disk", reply{400, fields(), `{"message":"Ticket could not be created due to an internal error"}`}, later},
	},
	// https://developers.freshdesk.com/api/#errors and …/#ratelimit
	"freshdesk": {
		{"created", reply{201, fields("Location", "https://acme.freshdesk.com/api/v2/tickets/141"), `{"id":141,"subject":"Support Needed...","status":2}`}, delivered("141", "BASE/a/tickets/141")},
		{"rate limit", reply{429, fields("Retry-After", "80"), `{"message":"You have exceeded the limit of requests per hour"}`}, held(80 * time.Second)},
		{"validation", reply{400, fields(), `{"description":"Validation failed","errors":[{"field":"email","message":"It should be a valid email address.","code":"invalid_value"}]}`}, permanent},
		{"credentials", reply{401, fields(), `{"code":"invalid_credentials","message":"You have to be logged in to perform this action."}`}, misconfigured},
	},
	// https://docs.zammad.org/en/latest/api/ticket/index.html for the ticket (docs repository, ca3d14bf); errors are not documented
	"zammad": {
		{"created", reply{201, fields(), `{"id":19,"group_id":2,"priority_id":2,"state_id":1,"organization_id":null,"number":"22019","title":"Help me!","owner_id":1,"customer_id":10,"article_ids":[30]}`}, delivered("22019", "BASE/#ticket/zoom/19")},
		{"validation", reply{422, fields(), `{"error":"Group can't be blank","error_human":"Group can't be blank"}`}, permanent},
		{"credentials", reply{401, fields(), `{"error":"Invalid token!"}`}, misconfigured},
		{"no permission", reply{403, fields(), `{"error":"Not authorized"}`}, refused},
	},
	// https://www.redmine.org/projects/redmine/wiki/Rest_api
	"redmine": {
		{"created", reply{201, fields("Location", "https://redmine.example.com/issues/94"), `{"issue":{"id":94,"project":{"id":1}}}`}, delivered("94", "BASE/issues/94")},
		{"validation", reply{422, fields(), `{"errors":["Subject cannot be blank"]}`}, permanent},
		{"credentials", reply{401, fields(), ``}, misconfigured},
		{"no permission", reply{403, fields(), ``}, refused},
		{"no project", reply{404, fields(), ``}, refused},
	},
	// https://docs.gitlab.com/api/rest/troubleshooting/ and https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/
	"gitlab": {
		{"created", reply{201, fields(), `{"id":84,"iid":14,"project_id":4,"web_url":"http://gitlab.example.com/my-group/my-project/issues/14"}`}, delivered("14", "http://gitlab.example.com/my-group/my-project/issues/14")},
		{"rate limit", reply{429, fields("Retry-After", "30", "RateLimit-Reset", "1795357980"), `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`}, held(30 * time.Second)},
		{"rate limit until", reply{429, fields("RateLimit-Reset", "1795357980"), `Retry later`}, held(5 * time.Minute)},
		{"validation", reply{400, fields(), `{"message":{"title":["can't be blank"]}}`}, permanent},
		{"credentials", reply{401, fields(), `{"message":"401 Unauthorized"}`}, misconfigured},
		{"no project", reply{404, fields(), `{"message":"404 Project Not Found"}`}, refused},
	},
}

var morePresetAnswers = map[string][]answerTest{
	// https://docs.dixa.io/docs/api-standards-rules/
	"dixa": {
		{"created", reply{200, fields(), `{"data":{"id":1234}}`}, delivered("1234", "")},
		{"rate limit", reply{429, fields(), `{"message":"Too many requests"}`}, held(time.Second)},
		{"validation", reply{400, fields(), `{"message":"Invalid value for: body"}`}, permanent},
		{"credentials", reply{401, fields(), ``}, misconfigured},
	},
	// https://learn.microsoft.com/en-us/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
	"dynamics_365": {
		{"created", reply{201, fields("Preference-Applied", "return=representation"), `{"incidentid":"0198f3c2-0000-7000-8000-000000000000","ticketnumber":"CAS-01001-A1B2C3"}`}, delivered("CAS-01001-A1B2C3", "BASE/main.aspx?etn=incident&pagetype=entityrecord&id=0198f3c2-0000-7000-8000-000000000000")},
		{"created, no content", reply{204, fields("OData-EntityId", "https://acme.crm.dynamics.com/api/data/v9.2/incidents(0198f3c2-0000-7000-8000-000000000000)"), ``}, delivered("", "BASE/main.aspx?etn=incident&pagetype=entityrecord&id=0198f3c2-0000-7000-8000-000000000000")},
		{"a login page", reply{200, fields(), `<html></html>`}, refused},
		{"created before", reply{412, fields(), `{"error":{"code":"0x80040237","message":"A record with matching key values already exists."}}`}, delivered("", "")},
		{"rate limit", reply{429, fields("Retry-After", "35"), `{"error":{"code":"0x80072322"}}`}, held(35 * time.Second)},
		{"validation", reply{400, fields(), `{"error":{"code":"0x80040203","message":"Invalid argument"}}`}, permanent},
		{"credentials", reply{401, fields(), ``}, misconfigured},
	},
	// The OpenAPI description for the acceptance; https://dev.frontapp.com/docs/errors and …/rate-limiting
	"front": {
		{"accepted", reply{202, fields(), `{"status":"accepted","message_uid":"1eab543f84a0785f7b6b8967cck18f4d"}`}, delivered("1eab543f84a0785f7b6b8967cck18f4d", "")},
		{"rate limit", reply{429, fields("Retry-After", "22"), `{"_error":{"status":429,"title":"Too many requests"}}`}, held(22 * time.Second)},
		{"rate limit until", reply{429, fields("X-RateLimit-Limit", "50", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795357699.5"), `{"_error":{"status":429,"title":"Too many requests"}}`}, held(20 * time.Second)},
		{"validation", reply{400, fields(), `{"_error":{"status":400,"title":"Bad request"}}`}, permanent},
		{"credentials", reply{401, fields(), `{"_error":{"status":401,"title":"Unauthenticated"}}`}, misconfigured},
	},
	// https://developer.helpscout.com/mailbox-api/overview/errors/ and …/rate-limiting/
	"help_scout": {
		{"created", reply{201, fields("Resource-ID", "123", "Location", "https://api.helpscout.net/v2/conversations/123"), ``}, delivered("123", "https://secure.helpscout.net/conversation/123")},
		{"rate limit", reply{429, fields("X-RateLimit-Retry-After", "10"), ``}, held(10 * time.Second)},
		{"validation", reply{400, fields(), `{"logRef":"x","message":"Bad request","_embedded":{"errors":[{"path":"subject","message":"may not be empty"}]}}`}, permanent},
		{"credentials", reply{401, fields(), `{"error":"invalid_token"}`}, misconfigured},
	},
	// The OpenAPI description; https://developers.hubspot.com/docs/guides/apps/api-usage/usage-details for the limits
	"hubspot": {
		{"created", reply{201, fields(), `{"archived":false,"createdAt":"2019-10-30T03:30:17.883Z","id":"512","properties":{"subject":"x"},"updatedAt":"2019-12-07T16:50:06.678Z"}`}, delivered("512", "https://app.hubspot.com/contacts/99/ticket/512")},
		{"rate limit", reply{429, fields(), `{"status":"error","message":"You have reached your ten_secondly_rolling limit.","policyName":"TEN_SECONDLY_ROLLING"}`}, held(10 * time.Second)},
		{"validation", reply{400, fields(), `{"status":"error","message":"Invalid input (details will vary based on the error)","correlationId":"aeb5f871-7f07-4993-9211-075dc63e7cbf","category":"VALIDATION_ERROR","links":{"knowledge-base":"https://www.hubspot.com/products/service/knowledge-base"}}`}, permanent},
		{"credentials", reply{401, fields(), `{"status":"error","category":"INVALID_AUTHENTICATION"}`}, misconfigured},
	},
	// The OpenAPI description; https://developers.intercom.com/docs/references/rest-api/errors/rate-limiting for the header
	"intercom": {
		{"created", reply{200, fields(), `{"type":"ticket","id":"489","ticket_id":"48","ticket_attributes":{"_default_title_":"example","_default_description_":"there is a problem"},"ticket_state":"submitted"}`}, delivered("48", "")},
		{"rate limit", reply{429, fields("X-RateLimit-Reset", "1795357980"), `{"type":"error.list","request_id":"b68959ea-6328-4f70-83cb-e7913dba1542","errors":[{"code":"rate_limit_exceeded","message":"Exceeded rate limit"}]}`}, held(5 * time.Minute)},
		{"validation", reply{400, fields(), `{"type":"error.list","errors":[{"code":"parameter_invalid"}]}`}, permanent},
		{"credentials", reply{401, fields(), `{"type":"error.list","request_id":"745c921a-7c5a-40d4-ab28-6d28a8d2ed47","errors":[{"code":"unauthorized","message":"Access Token Invalid"}]}`}, misconfigured},
		{"something else", reply{200, fields(), `{"type":"error.list"}`}, refused},
	},
	// https://linear.app/developers/rate-limiting; the types of errors also as Linear's SDK reads them (packages/sdk/src/error.ts)
	"linear": {
		{"created", reply{200, fields(), `{"data":{"issueCreate":{"success":true,"issue":{"identifier":"SUP-12","url":"https://linear.app/acme/issue/SUP-12"}}}}`}, delivered("SUP-12", "https://linear.app/acme/issue/SUP-12")},
		{"error in a success", reply{200, fields(), `{"data":null,"errors":[{"message":"Entity not found","path":["issueCreate"],"extensions":{"type":"invalid input","userError":true,"userPresentableMessage":"Could not find referenced Team"}}]}`}, refused},
		{"rate limit", reply{400, fields("X-RateLimit-Requests-Remaining", "0", "X-RateLimit-Requests-Reset", "1795357980000"), `{"errors":[{"message":"Rate limit exceeded","extensions":{"code":"RATELIMITED"}}]}`}, held(5 * time.Minute)},
		{"rate limit by its type", reply{400, fields(), `{"errors":[{"message":"Rate limit exceeded","extensions":{"type":"ratelimited","userError":true}}]}`}, held(time.Minute)},
		{"rate limit by complexity", reply{400, fields("X-RateLimit-Requests-Remaining", "5", "X-RateLimit-Requests-Reset", "1795357980000"), `{"errors":[{"extensions":{"code":"RATELIMITED"}}]}`}, held(time.Minute)},
		{"validation", reply{400, fields(), `{"errors":[{"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`}, permanent},
		{"credentials", reply{401, fields(), `{"errors":[{"extensions":{"code":"AUTHENTICATION_ERROR"}}]}`}, misconfigured},
	},
	// https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
	"salesforce": {
		{"created", reply{201, fields(), `{"id":"5003000000D8cuIQAB","errors":[],"success":true,"created":true}`}, delivered("5003000000D8cuIQAB", "BASE/lightning/r/Case/5003000000D8cuIQAB/view")},
		{"created before", reply{200, fields(), `{"id":"5003000000D8cuIQAB","errors":[],"success":true,"created":false}`}, delivered("5003000000D8cuIQAB", "BASE/lightning/r/Case/5003000000D8cuIQAB/view")},
		{"created before 46.0", reply{204, fields(), ``}, delivered("", "")},
		{"a login page", reply{200, fields(), `<html></html>`}, refused},
		{"external id not unique", reply{300, fields(), `["/services/data/v62.0/sobjects/Case/5003000000D8cuIQAB"]`}, misconfigured},
		{"limit", reply{403, fields(), `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`}, held(15 * time.Minute)},
		{"no permission", reply{403, fields(), `[{"errorCode":"INSUFFICIENT_ACCESS"}]`}, refused},
		{"validation", reply{400, fields(), `[{"message":"Required fields are missing: [X__c]","errorCode":"REQUIRED_FIELD_MISSING"}]`}, permanent},
		{"credentials", reply{401, fields(), `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`}, misconfigured},
	},
	"superoffice": {
		{"created", reply{200, fields(), `{"TicketId":978,"Title":"x","Messages":[],"CustomFields":{}}`}, delivered("978", "")},
		{"a login page", reply{200, fields(), `<html></html>`}, refused},
		{"rate limit", reply{429, fields("Retry-After", "9"), ``}, held(9 * time.Second)},
		{"validation", reply{400, fields(), `{}`}, permanent},
		{"credentials", reply{401, fields(), `{}`}, misconfigured},
	},
	// https://www.servicenow.com/docs/bundle/xanadu-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html
	"servicenow": {
		{"created", reply{201, fields("Location", "https://acme.service-now.com/api/now/table/incident/c537bae64f411200adf9f8e18110c76e"), `{"result":{"number":"INC0010002","sys_id":"c537bae64f411200adf9f8e18110c76e"}}`}, delivered("INC0010002", "BASE/nav_to.do?uri=incident.do%3Fsys_id%3Dc537bae64f411200adf9f8e18110c76e")},
		{"rate limit", reply{429, fields("Retry-After", "3600"), `{"error":{"message":"Rate limit exceeded"}}`}, held(time.Hour)},
		{"validation", reply{400, fields(), `{"error":{"message":"Invalid"},"status":"failure"}`}, permanent},
		{"credentials", reply{401, fields(), `{"error":{"message":"User Not Authenticated"},"status":"failure"}`}, misconfigured},
	},
}

func init() { maps.Copy(presetAnswers, morePresetAnswers) }

func TestPreset_answers(t *testing.T) {
	for _, p := range preset.All() {
		tests := presetAnswers[p.Name]
		requireKinds(t, p, tests)
		for _, test := range tests {
			t.Run(p.Name+"/"+test.name, func(t *testing.T) {
				server := listen(t, func(w http.ResponseWriter, _ *http.Request) {
					maps.Copy(w.Header(), test.reply.header)
					w.WriteHeader(test.reply.status)
					_, _ = io.WriteString(w, test.reply.body)
				})
				o := send(t, newUpstream(t, presetOptions(t, p.Name, server.URL)), nil)
				want := test.want
				if len(want.ticket.URL) > 4 && want.ticket.URL[:4] == "BASE" {
					want.ticket.URL = server.URL + want.ticket.URL[4:]
				}
				assert.Equal(t, want, expectation{o.Verdict, o.Ticket, o.RetryAfter, o.HoldLane})
				if o.Verdict == delivery.Success {
					assert.NoError(t, o.Err)
				} else {
					assert.Error(t, o.Err)
				}
			})
		}
	}
}

// requireKinds requires that the kinds of answers are there that every system
// has.
func requireKinds(t *testing.T, p *preset.Preset, tests []answerTest) {
	t.Helper()
	has := func(is func(test answerTest) bool) bool { return slices.ContainsFunc(tests, is) }
	verdict := func(v delivery.Verdict) func(answerTest) bool {
		return func(test answerTest) bool { return test.want.verdict == v }
	}
	assert.True(t, has(verdict(delivery.Success)), "%s: a success", p.Name)
	assert.True(t, has(verdict(delivery.Permanent)), "%s: a validation error", p.Name)
	if p.Name != "slack" { // whose only credential is the address
		assert.True(t, has(verdict(delivery.Misconfigured)), "%s: wrong credentials", p.Name)
	}
	assert.True(t, unlimited[p.Name] != has(func(test answerTest) bool { return test.want.hold }), "%s: a rate limit", p.Name)
	if p.Repeat != "" && undocumentedRepeat[p.Name] == "" {
		assert.True(t, has(func(test answerTest) bool { return test.name == "created before" }), "%s: a repeated request", p.Name)
	}
}

// unlimited are the systems without a rate limit of their own: one's own server
// has whatever stands before it.
var unlimited = map[string]bool{"redmine": true, "request_tracker": true, "zammad": true}

// undocumentedRepeat are the presets whose systems make no second ticket of a
// repeated request, but do not say what they answer.
var undocumentedRepeat = map[string]string{
	"front":  "its OpenAPI description says only that nothing is imported twice",
	"linear": "its schema says only that the id can be chosen",
}
