package page

import (
	"net/http"
	"regexp"
	"strings"
)

// routes is all of the admin API that the page can ask for. No body is passed
// on.
var routes = []struct{ method, pattern string }{
	{http.MethodGet, "status"},
	{http.MethodGet, listPattern},
	{http.MethodGet, "deliveries/{id}"},
	{http.MethodDelete, "deliveries/{id}"},
	{http.MethodPost, "deliveries/{id}/retry"},
	{http.MethodPost, "upstreams/{name}/{label}/pause"},
	{http.MethodPost, "upstreams/{name}/{label}/resume"},
}

// listPattern is the one route with parameters; the admin API knows which.
const listPattern = "deliveries"

// values says what may stand in a path.
var values = map[string]*regexp.Regexp{
	"id":    regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"name":  nameOrLabel,
	"label": nameOrLabel,
}

var nameOrLabel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// pass asks the admin API.
func (p *Page) pass(w http.ResponseWriter, r *http.Request) {
	for name, valid := range values {
		if value := r.PathValue(name); value != "" && !valid.MatchString(value) {
			http.NotFound(w, r)
			return
		}
	}
	path := strings.TrimPrefix(r.URL.Path, p.path+"api/")
	if query := r.URL.Query(); path == listPattern && len(query) > 0 {
		path += "?" + query.Encode()
	}
	status, answer := p.ask(r.Method, path)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}
