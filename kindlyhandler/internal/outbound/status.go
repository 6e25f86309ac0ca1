package outbound

import (
	"net/http"
	"strconv"
)

// Status describes an answer's status in our own words, such as "404 Not
// Found": the reason phrase and the body are the other side's.
func Status(status int) string {
	described := strconv.Itoa(status)
	if text := http.StatusText(status); text != "" {
		described += " " + text
	}
	return described
}
