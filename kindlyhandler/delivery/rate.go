package delivery

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Rate bounds how many attempts an upstream sees: never more than so many in
// any second, minute or hour. The zero Rate bounds nothing.
type Rate struct {
	Attempts int
	Per      time.Duration
}

var periods = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// ParseRate reads a rate such as 10/s, 200/m or 1000/h.
func ParseRate(s string) (Rate, error) {
	number, unit, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 31)
	per, ok := periods[unit]
	if err != nil || n == 0 || !ok {
		return Rate{}, fmt.Errorf("%q is not a rate: write how many attempts a second, minute or hour may have, such as 10/s, 200/m or 1000/h", s)
	}
	return Rate{Attempts: int(n), Per: per}, nil
}

// A tenth of the attempts may come at once, so that few of them wait, and the
// rest comes evenly: then no period has more than all of them, whenever it
// begins.

func (r Rate) burst() int { return 1 + r.Attempts/10 }

func (r Rate) limit() rate.Limit {
	return rate.Limit(float64(r.Attempts-r.Attempts/10) / r.Per.Seconds())
}
