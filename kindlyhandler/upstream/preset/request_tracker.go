package preset

// Request Tracker 5: https://docs.bestpractical.com/rt/5.0.5/RT/REST2.html
//
// Tested against Request Tracker 5.0.3, in caddy/e2e. What that has shown:
//
//   - The page of a ticket folds what is in a blockquote ($QuoteFolding), so
//     that nothing of a chat would be seen: it gets indented divs instead, of the
//     few styles that RT leaves in.
//   - It shows no text of more than $MaxInlineBody, 25 KiB, but a link to its
//     source. What is longer is cut, and attached as a whole.
//   - A requestor that RT does not know becomes a user of the name in front of the
//     address. What has several addresses makes several requestors, so that the
//     name must have nothing that separates them.
//   - A queue that does not exist, is disabled, or that the user may not create
//     tickets in, is 403. A wrong token or password is 401, and so is a right one
//     while the database is away. Everything else that keeps a ticket from being
//     made is 400, also a full disk. It never asks to be left alone.
//   - It takes no notice of Idempotency-Key.
var requestTracker = &Preset{
	Name: "request_tracker", System: "Request Tracker", Example: "https://rt.example.com",
	Path: "/REST/2.0/ticket",
	Auth: []Auth{
		{Options: []string{"token"}, Field: "Authorization", Value: "token {token}"},
		{Options: []string{"user", "password"}, Field: "Authorization", Value: "{user}:{password}", Basic: true},
	},
	Options: []Option{
		{Name: "queue", Value: "<name>", Help: "that gets the ticket", Default: "General"},
		{Name: "token", Value: "<token>", Help: "of Logged in as › Settings › Auth Tokens"},
		{Name: "user", Value: "<name>", Help: "with password, instead of token"},
		{Name: "password", Value: "<password>", Help: "with user, instead of token"},
	},
	Format: HTML,
	Body: `(
		ticket_html(1000000)
		| split("<blockquote>") | join("<div style=\"margin: 0 2em 1em\">")
		| split("</blockquote>") | join("</div>")
	) as $html | {
		Queue: $queue,
		Subject: .subject,
		Requestor: (.customer | if .name and .email
			then "\"\(.name | truncate(100) | gsub("[^\\p{L}\\p{M}\\p{N} .'-]"; ""))\" <\(.email)>"
			else .email end),
		Content: ($html | truncate_html(25600; "bytes")),
		ContentType: "text/html",
		Attachments: (if ($html | utf8bytelength) > 25600 then [{
			FileName: "chat.txt",
			FileType: "text/plain; charset=utf-8",
			FileContent: (ticket_text(1000000) | @base64)
		}] else null end)
	} | without_nulls`,
	Success:   "201",
	Transient: `.status == 400 and (.body.message | contains("internal error"))`,
	TicketID:  ".body.id",
	TicketURL: `"\($base)/Ticket/Display.html?id=\(.body.id)"`,
	Check: &Check{
		Path:   "/REST/2.0/rt",
		Source: "https://docs.bestpractical.com/rt/5.0.5/RT/REST2.html",
	},
}
