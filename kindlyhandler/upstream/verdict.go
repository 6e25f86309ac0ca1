package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// judge says what an answer's status means, with what the preset, which may be
// an empty one, knows of waiting.
func judge(resp *http.Response, now time.Time, p *preset.Preset) delivery.Outcome {
	status := resp.StatusCode
	if status >= 200 && status <= 299 {
		return delivery.Outcome{Verdict: delivery.Success}
	}
	o := delivery.Outcome{Err: answered(status)}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusForbidden && rateLimited(resp.Header):
		return throttled(resp, now, p)
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
	case status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone:
		o.Verdict = delivery.Refused
	default:
		o.Verdict = delivery.Permanent
	}
	return o
}

// throttled is the outcome of an answer that asks to be left alone.
func throttled(resp *http.Response, now time.Time, p *preset.Preset) delivery.Outcome {
	o := delivery.Outcome{Verdict: delivery.Transient, HoldLane: true, Err: answered(resp.StatusCode)}
	if resp.StatusCode <= 299 {
		o.Err = errors.New("the upstream has too many requests")
	}
	o.RetryAfter = retryAfter(resp.Header, now)
	for _, wait := range p.Wait {
		if o.RetryAfter == 0 {
			o.RetryAfter = waitFor(wait, resp.Header, now)
		}
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = time.Duration(p.MinWait) * time.Second
	}
	return o
}

func answered(status int) error {
	return errors.New("the upstream answered " + outbound.Status(status))
}

func rateLimited(h http.Header) bool {
	return h.Get("Retry-After") != "" || h.Get("X-Ratelimit-Remaining") == "0"
}

// retryAfter reads the Retry-After header (RFC 9110, section 10.2.3), as
// seconds or as a date against the answer's own Date, and obeys it up to
// [delivery.MaxRetryAfter]. It is 0 if there is none to obey.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if isDigits(value) {
		return seconds(value)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return until(at, h, now)
}

// waitFor reads a header field by which a system says when it takes requests
// again. It is 0 if there is none to obey.
func waitFor(wait preset.Wait, h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get(wait.Field))
	if wait.WhenZero != "" && strings.TrimSpace(h.Get(wait.WhenZero)) != "0" {
		return 0
	}
	switch wait.Format {
	case preset.Seconds:
		if isDigits(value) {
			return seconds(value)
		}
	case preset.UnixSeconds:
		whole, _, hasFraction := strings.Cut(value, ".")
		if unix, err := strconv.ParseInt(whole, 10, 64); err == nil {
			if hasFraction { // rounded up: too early is of no use
				unix++
			}
			return until(time.Unix(unix, 0), h, now)
		}
	case preset.UnixMilliseconds:
		if unix, err := strconv.ParseInt(value, 10, 64); err == nil {
			return until(time.UnixMilli(unix), h, now)
		}
	case preset.ISO8601:
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700"} {
			if at, err := time.Parse(layout, value); err == nil {
				return until(at, h, now)
			}
		}
	}
	return 0
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// seconds reads a number of them.
func seconds(value string) time.Duration {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > int64(delivery.MaxRetryAfter/time.Second) {
		return delivery.MaxRetryAfter // too many to count
	}
	return time.Duration(n) * time.Second
}

// until returns how long it is until a time by the answer's own clock.
func until(at time.Time, h http.Header, now time.Time) time.Duration {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), delivery.MaxRetryAfter)
}
