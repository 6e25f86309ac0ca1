package preset

// Slack's incoming webhooks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
//
// The request is that of Slack's published types of messages: a section has at
// most 3000 characters, a header 150. Links are not unfurled, which would show
// what a visitor links to. The address is the secret, and there is no id to find
// a message by. Slack takes about one message a second: write `rate 1/s`.
var slack = &Preset{
	Name: "slack", System: "Slack", Example: "https://hooks.slack.com/services/…",
	Format: Text,
	Body: `{
		text: (.subject | mrkdwn),
		blocks: ([
			{type: "header", text: {type: "plain_text", text: (.subject | truncate(150)), emoji: false}},
			{type: "section", text: {type: "mrkdwn", verbatim: true, text: (
				(ticket_facts(2400) | mrkdwn | truncate(2400))
				+ if .chat.url and (.chat.url | length) < 400 then "\n<\(.chat.url | mrkdwn)|Open the chat>" else "" end)}},
			{type: "section", text: {type: "mrkdwn", verbatim: true, text: (ticket_said(2900) | mrkdwn | truncate(2900))}}
		] | map(select(.text.text != ""))),
		unfurl_links: false,
		unfurl_media: false
	}`,
	Success:   `.status == 200 and (.body | tostring | startswith("ok"))`,
	TicketID:  "null",
	TicketURL: "null",
}
