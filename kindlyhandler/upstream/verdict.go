package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// judge says what an answer's status means.
func judge(resp *http.Response, now time.Time) delivery.Outcome {
	status := resp.StatusCode
	if status >= 200 && status <= 299 {
		return delivery.Outcome{Verdict: delivery.Success}
	}
	o := delivery.Outcome{Err: answered(status)}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusForbidden && rateLimited(resp.Header):
		o.Verdict, o.HoldLane = delivery.Transient, true
		o.RetryAfter = retryAfter(resp.Header, now)
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		o.Verdict = delivery.Transient
		o.RetryAfter = retryAfter(resp.Header, now)
	case status >= 500:
		o.Verdict, o.Down = delivery.Transient, true
		o.RetryAfter = retryAfter(resp.Header, now)
	case status == http.StatusUnauthorized:
		o.Verdict = delivery.Misconfigured
	case status >= 300 && status <= 399:
		o.Verdict = delivery.Misconfigured
		o.Err = fmt.Errorf("%w: redirects are not followed, use the URL that takes the tickets", answered(status))
	case status == http.StatusForbidden, status == http.StatusNotFound:
		o.Verdict = delivery.Refused
	default:
		o.Verdict = delivery.Permanent
	}
	return o
}

// answered describes a status in our own words: the reason phrase and the
// body are the other side's.
func answered(status int) error {
	if text := http.StatusText(status); text != "" {
		return fmt.Errorf("the upstream answered %d %s", status, text)
	}
	return fmt.Errorf("the upstream answered %d", status)
}

func rateLimited(h http.Header) bool {
	return h.Get("Retry-After") != "" || h.Get("X-Ratelimit-Remaining") == "0"
}

// retryAfter reads the Retry-After header (RFC 9110, section 10.2.3), as
// seconds or as a date against the answer's own Date, and obeys it up to
// [delivery.MaxRetryAfter]. It is 0 if there is none to obey.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(delivery.MaxRetryAfter/time.Second) {
			return delivery.MaxRetryAfter // too many to count
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), delivery.MaxRetryAfter)
}
