package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requestTracker is a Request Tracker of Debian's package, with a configuration
// and a database of its own.
type requestTracker struct {
	t       *testing.T
	dir     string
	address string
	token   string // of a user who can only create tickets in the queue Support
	server  string // the program
	env     []string

	out    output
	cmd    *exec.Cmd // nil while it is down
	exited chan struct{}
}

// newRequestTracker makes a database, and starts the server.
func newRequestTracker(t *testing.T) *requestTracker {
	t.Helper()
	r := &requestTracker{t: t, dir: t.TempDir(), address: freeAddress(t)}
	_, port, err := net.SplitHostPort(r.address)
	require.NoError(t, err)
	files := packageFiles(t, "request-tracker5")
	r.server = files("libexec/rt-server")
	setup := files("rt-setup-database-5")
	for _, name := range []string{"site", "var", "mason", "sessions"} {
		require.NoError(t, os.Mkdir(filepath.Join(r.dir, name), 0o700))
	}
	r.env = append(os.Environ(),
		"RT_SITE_CONFIG="+repositoryFile(t, "caddy/e2e/testdata/rt/RT_SiteConfig.pm"),
		// Nothing of what the machine's own is configured by.
		"RT_SITE_CONFIG_DIR="+filepath.Join(r.dir, "site"),
		"RT_TEST_DIR="+r.dir, "RT_TEST_PORT="+port, "HOME="+r.dir)
	for _, args := range [][]string{
		{"--action", "init", "--skip-create"},
		{"--action", "insert", "--datafile", repositoryFile(t, "caddy/e2e/testdata/rt/initialdata")},
	} {
		cmd := exec.CommandContext(within(t), setup, args...)
		cmd.Env = r.env
		printed, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", cmd, printed)
	}
	token, err := os.ReadFile(filepath.Join(r.dir, "token"))
	require.NoError(t, err)
	r.token = string(token)
	t.Cleanup(r.stop)
	r.start()
	return r
}

// packageFiles looks up one of the files of a Debian package by how its name
// ends. The test is skipped where the package is not installed.
func packageFiles(t *testing.T, name string) func(end string) string {
	t.Helper()
	list, err := exec.Command("dpkg", "-L", name).Output()
	if err != nil {
		t.Skipf("the package %s is not installed: %v", name, err)
	}
	return func(end string) string {
		for line := range strings.Lines(string(list)) {
			if file := strings.TrimSpace(line); strings.HasSuffix(file, "/"+end) {
				return file
			}
		}
		t.Fatalf("the package %s has no %s", name, end)
		return ""
	}
}

// start runs the server until it answers.
func (r *requestTracker) start() {
	r.t.Helper()
	host, port, err := net.SplitHostPort(r.address)
	require.NoError(r.t, err)
	r.cmd = exec.Command(r.server, "--host", host, "--port", port, "--max-workers", "2")
	r.cmd.Env = r.env
	r.cmd.Dir = r.dir
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the workers, too
	require.NoError(r.t, r.cmd.Start())
	r.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(r.cmd, r.exited)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", r.address); err == nil {
			require.NoError(r.t, conn.Close())
			return
		}
		select {
		case <-r.exited:
			r.t.Fatalf("Request Tracker has ended:\n%s", r.out.String())
		default:
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("Request Tracker does not start:\n%s", r.out.String())
		}
	}
}

// stop ends the server and its workers. SIGINT would have it change the owner of
// the machine's own data.
func (r *requestTracker) stop() {
	r.t.Helper()
	if r.cmd == nil {
		return
	}
	group := -r.cmd.Process.Pid
	r.cmd = nil
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(patience):
		r.t.Errorf("Request Tracker does not end:\n%s", r.out.String())
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		r.t.Errorf("ending Request Tracker's workers: %v", err)
	}
}

// sql changes its database behind its back.
func (r *requestTracker) sql(statement string) {
	r.t.Helper()
	printed, err := exec.CommandContext(within(r.t), "sqlite3", filepath.Join(r.dir, "rt.db"), statement).CombinedOutput()
	require.NoError(r.t, err, string(printed))
}

// page returns where something of it is.
func (r *requestTracker) page(path string) string { return "http://" + r.address + path }

// get asks the API, as root.
func (r *requestTracker) get(path string, into any) {
	r.t.Helper()
	status, body := r.call(http.MethodGet, path, "", "root", "password")
	require.Equal(r.t, http.StatusOK, status, body)
	require.NoError(r.t, json.Unmarshal([]byte(body), into))
}

// call makes a request of the API. Without a user, the password is a token.
func (r *requestTracker) call(method, path, body, user, password string) (status int, answer string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(within(r.t), method, r.page("/REST/2.0"+path), strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	if user == "" {
		request.Header.Set("Authorization", "token "+password)
	} else {
		request.SetBasicAuth(user, password)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(read)
}

// rtReference is how the API refers to something.
type rtReference struct {
	ID string `json:"id"`
}

type rtTicket struct {
	Subject   string
	Queue     rtReference
	Creator   rtReference
	Requestor []rtReference
}

func (r *requestTracker) ticket(id string) (ticket rtTicket) {
	r.t.Helper()
	r.get("/ticket/"+id, &ticket)
	return ticket
}

// count returns how many tickets there are.
func (r *requestTracker) count() int {
	r.t.Helper()
	var found struct{ Total int }
	r.get("/tickets?query=id%3E0", &found)
	return found.Total
}

type rtUser struct{ EmailAddress, RealName string }

func (r *requestTracker) user(id string) (user rtUser) {
	r.t.Helper()
	r.get("/user/"+url.PathEscape(id), &user)
	return user
}

func (r *requestTracker) queue(id string) string {
	r.t.Helper()
	var queue struct{ Name string }
	r.get("/queue/"+id, &queue)
	return queue.Name
}

// rtContent is what came with a ticket: its text, or a file.
type rtContent struct {
	ContentType, Filename string
	text                  string
	Encoded               string      `json:"Content"`
	Transaction           rtReference `json:"TransactionId"`
}

// contents returns what a ticket was created with.
func (r *requestTracker) contents(id string) (contents []rtContent) {
	r.t.Helper()
	var list struct{ Items []rtReference }
	r.get("/ticket/"+id+"/attachments", &list)
	var created string
	for _, item := range list.Items {
		var c rtContent
		r.get("/attachment/"+item.ID, &c)
		if created == "" {
			created = c.Transaction.ID
		}
		if c.Transaction.ID != created || c.Encoded == "" { // a mail about it, or what holds several
			continue
		}
		text, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(c.Encoded, "\n", ""))
		require.NoError(r.t, err)
		c.text = string(text)
		contents = append(contents, c)
	}
	return contents
}

// mailedTo returns whom it would have written to: it writes into files instead.
func (r *requestTracker) mailedTo() (addresses []string) {
	r.t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, "var", "*.mbox"))
	require.NoError(r.t, err)
	for _, name := range names {
		mails, err := os.ReadFile(name)
		require.NoError(r.t, err)
		for line := range strings.Lines(string(mails)) {
			for _, field := range []string{"To: ", "Cc: ", "Bcc: "} {
				if address, ok := strings.CutPrefix(line, field); ok {
					addresses = append(addresses, strings.TrimSpace(address))
				}
			}
		}
	}
	return addresses
}
