package page

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

const (
	tokenParameter = "token"
	cookieName     = "kindly-page"
)

// refusal is the same for whatever is wrong.
const refusal = "Nothing is shown here.\n\nThe address that \"caddy kindly page\" prints works once, and then in that browser only.\nEnd the command and start it again for a new address."

// protect sets what holds for every answer.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// admit tells whether a request comes from the page's own browser and, unless
// it opens the page, from the page. It gives the cookie for the token.
func (p *Page) admit(w http.ResponseWriter, r *http.Request) bool {
	if r.Host != p.authority || !strings.HasPrefix(r.URL.Path, p.path) {
		return false
	}
	opens := r.URL.Path == p.path && r.Method == http.MethodGet
	if !opens && !p.fromPage(r) {
		return false
	}
	if p.hasCookie(r) {
		return true
	}
	if !opens || !equal(r.URL.Query().Get(tokenParameter), p.token) || !p.used.CompareAndSwap(false, true) {
		return false
	}
	// Not Secure: there is no TLS on loopback, and not every browser makes an
	// exception for it.
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // see above
		Name: cookieName, Value: p.session, Path: p.path, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return true
}

// fromPage tells whether a script of the page makes the request. Browsers say
// where it comes from: Sec-Fetch-Site, except old ones, with every request,
// Origin with all that can change something.
func (p *Page) fromPage(r *http.Request) bool {
	origins, sites := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	if len(origins) > 1 || len(origins) == 1 && origins[0] != p.origin() {
		return false
	}
	if len(origins) == 0 && r.Method != http.MethodGet {
		return false
	}
	return len(sites) == 0 || len(sites) == 1 && sites[0] == "same-origin"
}

// hasCookie looks at all cookies of the name: other servers at this address
// can set one, too.
func (p *Page) hasCookie(r *http.Request) bool {
	for _, c := range r.CookiesNamed(cookieName) {
		if equal(c.Value, p.session) {
			return true
		}
	}
	return false
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
