package preset

// Library has the functions for bodies that make a ticket's text: who the
// customer is, where the chat is, and what was said. Each gives at most n
// characters, with a note if something was cut off, and begins with the
// delivery's id among other facts: by it, a ticket that came twice can be found.
const Library = `
	def _kindly_link: @html | "<a href=\"\(.)\">\(.)</a>";
	def _kindly_line($label): if . then "<b>\($label):</b> \(.)" else empty end;
	def _kindly_customer:
		[.name, .email, .phone | values | @html] | if . == [] then null else join(", ") end;
	def _kindly_facts:
		[
			(.customer | _kindly_customer + if .verified then " (verified)" else "" end | if . == "" then null else . end
				| _kindly_line("Customer")),
			(.chat.url | values | _kindly_link | _kindly_line("Chat")),
			(.chat.page | values | _kindly_link | _kindly_line("Page")),
			(.kindly_ticket.status | values | @html | _kindly_line("Status in Kindly")),
			(.transcript_error | values | @html | _kindly_line("No transcript")),
			(.id | _kindly_line("Delivery"))
		]
		| "<p>" + join("<br>") + "</p>" | html_safe;
	def _kindly_said: .message | @html | split("\n") | "<blockquote>" + join("<br>") + "</blockquote>" | html_safe;

	def _kindly_said_text: .transcript.text // (_kindly_said | html_text);

	def _kindly_html: _kindly_facts + "\n" + (.transcript.html // _kindly_said);
	def ticket_html($n): _kindly_html | truncate_html($n);
	def ticket_html($n; $unit): _kindly_html | truncate_html($n; $unit);

	def _kindly_markdown:
		(_kindly_facts | html_markdown) + "\n\n" + (.transcript.markdown // (_kindly_said | html_markdown));
	def ticket_markdown($n): _kindly_markdown | truncate($n);

	def _kindly_text: (_kindly_facts | html_text) + "\n\n" + _kindly_said_text;
	def ticket_text($n): _kindly_text | truncate($n);
	def ticket_text($n; $unit): _kindly_text | truncate($n; $unit);

	def ticket_adf($n): ticket_html($n) | adf | truncate_adf($n);
`
