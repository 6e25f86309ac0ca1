package upstream

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

var now = time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)

// response has a status, and headers by name and value in turn.
func response(status int, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// expected returns the verdict of every status, with what it does to the lane.
func expected(status int) delivery.Outcome {
	switch {
	case status <= 199:
		return delivery.Outcome{Verdict: delivery.Permanent}
	case status <= 299:
		return delivery.Outcome{Verdict: delivery.Success}
	case status <= 399, status == 401:
		return delivery.Outcome{Verdict: delivery.Misconfigured}
	case status == 403, status == 404, status == 410:
		return delivery.Outcome{Verdict: delivery.Refused}
	case status == 408, status == 425:
		return delivery.Outcome{Verdict: delivery.Transient}
	case status == 429:
		return delivery.Outcome{Verdict: delivery.Transient, HoldLane: true}
	case status <= 499:
		return delivery.Outcome{Verdict: delivery.Permanent}
	default:
		return delivery.Outcome{Verdict: delivery.Transient, Down: true}
	}
}

func TestJudge_everyStatus(t *testing.T) {
	for status := 101; status <= 999; status++ {
		got := judge(response(status), now, new(preset.Preset))
		if got.Verdict == delivery.Success {
			require.NoError(t, got.Err)
		} else {
			require.ErrorContains(t, got.Err, "the upstream answered ")
		}
		got.Err = nil
		require.Equal(t, expected(status), got, status)
	}
}

func TestJudge_headers(t *testing.T) {
	const hour = time.Hour
	transient := func(after time.Duration, hold, down bool) delivery.Outcome {
		return delivery.Outcome{Verdict: delivery.Transient, RetryAfter: after, HoldLane: hold, Down: down}
	}
	tests := map[string]struct {
		response *http.Response
		want     delivery.Outcome
	}{
		"429 holds the lane":             {response(429, "Retry-After", "3600"), transient(hour, true, false)},
		"503 holds the delivery":         {response(503, "Retry-After", "3600"), transient(hour, false, true)},
		"500":                            {response(500, "Retry-After", "3600"), transient(hour, false, true)},
		"408":                            {response(408, "Retry-After", "3600"), transient(hour, false, false)},
		"425":                            {response(425, "Retry-After", "3600"), transient(hour, false, false)},
		"403 with Retry-After":           {response(403, "Retry-After", "3600"), transient(hour, true, false)},
		"403 without requests left":      {response(403, "X-RateLimit-Remaining", "0"), transient(0, true, false)},
		"403 with requests left":         {response(403, "X-RateLimit-Remaining", "10"), delivery.Outcome{Verdict: delivery.Refused}},
		"404 with Retry-After":           {response(404, "Retry-After", "3600"), delivery.Outcome{Verdict: delivery.Refused}},
		"400 with Retry-After":           {response(400, "Retry-After", "3600"), delivery.Outcome{Verdict: delivery.Permanent}},
		"401 without requests left":      {response(401, "X-RateLimit-Remaining", "0"), delivery.Outcome{Verdict: delivery.Misconfigured}},
		"302 with Location":              {response(302, "Location", "https://s3cr3t.example"), delivery.Outcome{Verdict: delivery.Misconfigured}},
		"200 with Retry-After":           {response(200, "Retry-After", "3600"), delivery.Outcome{Verdict: delivery.Success}},
		"429 with a Retry-After of none": {response(429, "Retry-After", "soon"), transient(0, true, false)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := judge(test.response, now, new(preset.Preset))
			if got.Err != nil {
				assert.NotContains(t, got.Err.Error(), "s3cr3t")
			}
			got.Err = nil
			assert.Equal(t, test.want, got)
		})
	}
}

func TestJudge_errors(t *testing.T) {
	for status, want := range map[int]string{
		404: "the upstream answered 404 Not Found",
		302: "the upstream answered 302 Found: redirects are not followed, use the URL that takes the tickets",
		499: "the upstream answered 499",
		999: "the upstream answered 999",
	} {
		assert.EqualError(t, judge(response(status), now, new(preset.Preset)).Err, want)
	}
}

func TestRetryAfter(t *testing.T) {
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		header []string
		want   time.Duration
	}{
		"none":                      {nil, 0},
		"seconds":                   {[]string{"Retry-After", "120"}, 2 * time.Minute},
		"spaces":                    {[]string{"Retry-After", " 120 "}, 2 * time.Minute},
		"zero":                      {[]string{"Retry-After", "0"}, 0},
		"a day":                     {[]string{"Retry-After", "86400"}, 24 * time.Hour},
		"more than a day":           {[]string{"Retry-After", "86401"}, 24 * time.Hour},
		"would overflow a duration": {[]string{"Retry-After", "9999999999"}, 24 * time.Hour},
		"would overflow an integer": {[]string{"Retry-After", "99999999999999999999999"}, 24 * time.Hour},
		"negative":                  {[]string{"Retry-After", "-1"}, 0},
		"fraction":                  {[]string{"Retry-After", "1.5"}, 0},
		"words":                     {[]string{"Retry-After", "in a minute"}, 0},
		"date":                      {[]string{"Retry-After", at(time.Minute)}, time.Minute},
		"date in the past":          {[]string{"Retry-After", at(-time.Minute)}, 0},
		"date far ahead":            {[]string{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"}, 24 * time.Hour},
		"date by their slow clock":  {[]string{"Retry-After", at(-time.Hour), "Date", at(-2 * time.Hour)}, time.Hour},
		"date by their fast clock":  {[]string{"Retry-After", at(2*time.Hour + time.Second), "Date", at(2 * time.Hour)}, time.Second},
		"date, theirs is no date":   {[]string{"Retry-After", at(time.Minute), "Date", "today"}, time.Minute},
		"date in an old format":     {[]string{"Retry-After", now.Add(time.Minute).Format(time.ANSIC)}, time.Minute},
		"two: the first":            {[]string{"Retry-After", "1", "Retry-After", "2"}, time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, retryAfter(response(429, test.header...).Header, now))
		})
	}
}
