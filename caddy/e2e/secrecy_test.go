package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// What somebody wrote in a chat, who they are, and what opens doors.
const (
	markMessage    = "m4rked-message"
	markEmail      = "m4rked@example.com"
	markTranscript = "m4rked-transcript"
	markPath       = "m4rked-path"
	markJWT        = "m4rked-jwt"
	markAnswer     = "m4rked-answer"
	markChallenge  = "m4rked-challenge"
)

// TestSecrecy makes everything happen that is worth a line in the log, and
// reads the log.
func TestSecrecy(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"default level": "", "debug level": "debug\n\tservers {\n\t\ttrace\n\t}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSides(t)
			address := freeAddress(t)
			// Nobody listens there.
			deadURL := file(t, "url", "http://user:"+markPath+"@"+freeAddress(t)+"/"+markPath)
			c := start(t, options, site("http://"+address, "log",
				s.webhook("/kindly kindly", "verify_token {env.KINDLY_VERIFY_TOKEN}", "reply {kindly.message}"),
				directive("/dead dead", "secret {env.KINDLY_SECRET}", "transcript off", "upstream {file."+deadURL+"}"),
				"handle /passed {", directive("", "secret {env.KINDLY_SECRET}", "transcript off"), "reverse_proxy "+strings.TrimPrefix(s.desk.URL, "http://"), "}",
			))
			url := "http://" + address

			s.markedSend(url+"/passed", markedWebhook(s.markedChat()))
			for _, transcript := range []kindlytest.Mode{
				kindlytest.Body(http.StatusOK, "text/html", markTranscript),
				kindlytest.Body(http.StatusForbidden, "text/html", markTranscript),
			} {
				s.kindly.Fail(transcript)
				s.markedSend(url+"/kindly", markedWebhook(s.markedChat()))
			}
			s.kindly.Recover()
			for _, desk := range []kindlytest.Mode{
				{},
				kindlytest.Body(http.StatusUnprocessableEntity, "text/plain", markAnswer),
				kindlytest.Truncate(3),
				kindlytest.Status(http.StatusFound, "Location", "https://example.com/"+markAnswer),
			} {
				s.desk.Fail(desk)
				require.Equal(t, http.StatusOK, s.markedSend(url+"/kindly", markedWebhook(s.markedChat())).Status)
			}
			s.markedSend(url+"/dead", markedWebhook(s.markedChat()))
			s.markedSend(url+"/kindly", []byte(`{"message":"`+markMessage+`"`))     // no JSON
			s.markedSend(url+"/kindly", []byte(`{"message":"`+markMessage+`"}`))    // no event
			s.markedSend(url+"/kindly", []byte(`{"`+markEmail+`":["`+"\xff"+`"]}`)) // no UTF-8
			_, err := s.kindly.Send(within(t), url+"/kindly", markPath, markedWebhook("chat"))
			require.NoError(t, err)

			_, err = s.kindly.Handshake(within(t), url+"/kindly", verifyToken, markChallenge)
			require.NoError(t, err)
			if options == "" { // else Caddy logs the errors of requests, with their URIs
				_, err = s.kindly.Handshake(within(t), url+"/kindly", verifyToken, strings.Repeat(markChallenge, 100))
				require.NoError(t, err)
				_, err = s.kindly.Handshake(within(t), url+"/kindly", verifyToken+"-not", markChallenge)
				require.NoError(t, err)
			}
			require.NoError(t, c.reload(options, site("http://"+address, "log")))
			c.stop(terminate)

			printed := c.out.String()
			lines := []string{`"uri":"/kindly"`, "webhook refused", "ticket goes out without the chat's transcript", "upstream paused", "deliveries are left behind"}
			if options != "" {
				lines = append(lines, `"module":{"name":"kindly"`)
			}
			for _, line := range lines {
				if !strings.Contains(printed, line) {
					t.Errorf("the log has no %s", line)
				}
			}
			for _, mark := range []string{markMessage, markEmail, markTranscript, markPath, markJWT, markAnswer, markChallenge} {
				if strings.Contains(printed, mark) {
					t.Errorf("the log has %s", mark)
				}
			}
		})
	}
}

// markedChat returns the id of a chat with a marked transcript.
func (s *sides) markedChat() string {
	chat := strings.Repeat("c", s.kindly.Count()+s.desk.Attempts()+1)
	s.kindly.SetTranscript(chat, bytes.ReplaceAll(kindlytest.TranscriptFor(chat), []byte(`"message":"`), []byte(`"message":"`+markTranscript+" ")))
	return chat
}

func markedWebhook(chat string) []byte {
	return []byte(strings.NewReplacer("me@example.com", markEmail, "create ticket", markMessage).Replace(string(kindlytest.DialogueWebhookFor(chat))))
}

// markedSend sends a webhook with a user's token, as Kindly forwards it.
func (s *sides) markedSend(url string, webhook []byte) kindlytest.Response {
	s.t.Helper()
	request, err := kindlytest.NewWebhookRequest(url, secret, webhook)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+markJWT)
	response, err := s.kindly.Do(request)
	require.NoError(s.t, err)
	return response
}
