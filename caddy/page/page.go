// Package page serves a web page about deliveries to one person on this
// machine, in front of Caddy's admin API, which rightly answers no browser.
//
// The page shows what people wrote in chats, and can drop their tickets, so
// nobody else gets anything of it: not another site in the same browser, nor
// another user of the machine, nor a name that is made to resolve to it.
package page

import (
	"crypto/rand"
	"net/http"
	"sync/atomic"
)

// Ask makes a request of the admin API: a method, and a path and query below
// /kindly/. It returns the status and the answer, which is JSON, also where
// nothing answers.
type Ask func(method, path string) (status int, answer []byte)

// Page is the handler. It is for one browser: the first that opens [Page.URL].
type Page struct {
	authority string // host and port of its address
	// path is where all of it is. Cookies do not tell ports apart: a path that
	// nobody can guess keeps ours from other servers at the same address.
	path    string
	token   string
	used    atomic.Bool // the token
	session string      // the cookie's value
	ask     Ask
	mux     *http.ServeMux
}

// New returns the page of a server at the given host and port, as a browser
// writes them.
func New(authority string, ask Ask) *Page {
	p := &Page{
		authority: authority,
		path:      "/" + rand.Text() + "/",
		token:     rand.Text(),
		session:   rand.Text(),
		ask:       ask,
		mux:       http.NewServeMux(),
	}
	p.mux.HandleFunc("GET "+p.path+"{$}", show)
	for _, r := range routes {
		p.mux.HandleFunc(r.method+" "+p.path+"api/"+r.pattern, p.pass)
	}
	return p
}

// URL is what a person opens. It works once.
func (p *Page) URL() string { return p.origin() + p.path + "?" + tokenParameter + "=" + p.token }

func (p *Page) origin() string { return "http://" + p.authority }

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if !p.admit(w, r) {
		http.Error(w, refusal, http.StatusForbidden)
		return
	}
	p.mux.ServeHTTP(w, r)
}

func show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(document) // who has hung up misses nothing but this
}
