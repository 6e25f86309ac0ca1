package richtext

// role is what an element means for a message's text.
type role uint8

const (
	inlineRole    role = iota // only its content counts; also that of unknown elements
	styleRole                 // inline, changes the style
	blockRole                 // starts on a new line
	paragraphRole             // has a blank line around it
	headingRole               // a paragraph in bold
	ruleRole                  // separates paragraphs
	breakRole
	cellRole
	quoteRole
	bulletListRole
	orderedListRole
	itemRole
	preRole
	linkRole
	imageRole
	hiddenRole // its content is dropped
)

type element struct {
	role  role
	style style
}

var elements = func() map[string]element {
	all := map[string]element{
		"b":          {styleRole, bold},
		"strong":     {styleRole, bold},
		"i":          {styleRole, italic},
		"em":         {styleRole, italic},
		"cite":       {styleRole, italic},
		"dfn":        {styleRole, italic},
		"var":        {styleRole, italic},
		"u":          {styleRole, underline},
		"ins":        {styleRole, underline},
		"s":          {styleRole, strike},
		"del":        {styleRole, strike},
		"strike":     {styleRole, strike},
		"code":       {styleRole, code},
		"kbd":        {styleRole, code},
		"samp":       {styleRole, code},
		"tt":         {styleRole, code},
		"p":          {role: paragraphRole},
		"hr":         {role: ruleRole},
		"br":         {role: breakRole},
		"td":         {role: cellRole},
		"th":         {role: cellRole},
		"blockquote": {role: quoteRole},
		"ul":         {role: bulletListRole},
		"menu":       {role: bulletListRole},
		"dir":        {role: bulletListRole},
		"ol":         {role: orderedListRole},
		"li":         {role: itemRole},
		"pre":        {role: preRole},
		"listing":    {role: preRole},
		"xmp":        {role: preRole},
		"a":          {role: linkRole},
		"img":        {role: imageRole},
	}
	for r, names := range map[role][]string{
		headingRole: {"h1", "h2", "h3", "h4", "h5", "h6"},
		blockRole: {
			"address", "article", "aside", "body", "caption", "center", "dd", "details", "dialog", "div", "dl", "dt",
			"fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "html", "legend", "main", "nav",
			"optgroup", "option", "search", "section", "summary", "table", "tbody", "textarea", "tfoot", "thead", "tr",
		},
		hiddenRole: {
			"applet", "audio", "canvas", "datalist", "iframe", "math", "noembed", "noframes", "noscript", "object",
			"script", "style", "svg", "template", "title", "video",
		},
	} {
		for _, name := range names {
			all[name] = element{role: r}
		}
	}
	return all
}()
