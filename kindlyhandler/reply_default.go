package kindlyhandler

// phrases are what a chat is told in one language where the operator has
// written nothing. They promise nothing: a pending delivery can still become a
// dead letter, and a dead letter can still be delivered by hand.
type phrases struct {
	delivered string
	// reference follows delivered if the upstream has told the ticket's id.
	reference       string
	pending, failed string
}

// defaults are the phrases by language tag; the empty tag is for all other
// languages.
var defaults = map[string]phrases{
	"": { // English
		delivered: "Thank you! Your request has been passed on to our support team.",
		reference: "Your reference is {kindly.ticket.id}.",
		pending:   "Thank you! We have received your request and will pass it on to our support team.",
		failed:    "Sorry, your request could not be passed on. Please try again later, or contact us in another way.",
	},
	"nb": {
		delivered: "Takk! Henvendelsen din er sendt videre til supportteamet vårt.",
		reference: "Referansen din er {kindly.ticket.id}.",
		pending:   "Takk! Vi har mottatt henvendelsen din og sender den videre til supportteamet vårt.",
		failed:    "Beklager, henvendelsen din kunne ikke sendes videre. Prøv igjen senere, eller kontakt oss på en annen måte.",
	},
	"sv": {
		delivered: "Tack! Ditt ärende har skickats vidare till vårt supportteam.",
		reference: "Din referens är {kindly.ticket.id}.", //nolint:misspell // it is Swedish
		pending:   "Tack! Vi har tagit emot ditt ärende och skickar det vidare till vårt supportteam.",
		failed:    "Ditt ärende kunde tyvärr inte skickas vidare. Försök igen senare, eller kontakta oss på något annat sätt.",
	},
	"da": {
		delivered: "Tak! Din henvendelse er sendt videre til vores supportteam.",
		reference: "Din reference er {kindly.ticket.id}.",
		pending:   "Tak! Vi har modtaget din henvendelse og sender den videre til vores supportteam.",
		failed:    "Din henvendelse kunne desværre ikke sendes videre. Prøv igen senere, eller kontakt os på en anden måde.",
	},
	"fi": {
		delivered: "Kiitos! Pyyntösi on välitetty tukitiimillemme.",
		reference: "Viitetunnuksesi on {kindly.ticket.id}.",
		pending:   "Kiitos! Olemme vastaanottaneet pyyntösi ja välitämme sen tukitiimillemme.",
		failed:    "Valitettavasti pyyntöäsi ei voitu välittää. Yritä myöhemmin uudelleen tai ota meihin yhteyttä muulla tavalla.",
	},
}
