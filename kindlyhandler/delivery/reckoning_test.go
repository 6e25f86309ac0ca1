package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReckoning(t *testing.T) {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	type said struct{ now, until int }
	for _, test := range []struct {
		name     string
		said     []said
		from, to int
		want     int // minutes
	}{
		{"all", nil, 10, 20, 10},
		{"nothing before the beginning", nil, -10, 20, 20},
		{"nothing at all before it", nil, -20, -10, 0},
		{"nothing in between", nil, 20, 10, 0},
		{"a break within", []said{{12, 15}}, 10, 20, 7},
		{"a break around", []said{{0, 100}}, 10, 20, 0},
		{"a break before", []said{{0, 10}}, 10, 20, 10},
		{"a break after", []said{{20, 30}}, 10, 20, 10},
		{"overlaps", []said{{5, 12}, {18, 25}}, 10, 20, 6},
		{"a break that went on", []said{{11, 13}, {12, 15}}, 10, 20, 6},
		{"a break that was cut short", []said{{11, 100}, {13, 13}}, 10, 20, 8},
		{"a break that goes on", []said{{15, 1000}}, 10, 20, 5},
		{"a break that is over already", []said{{15, 12}}, 10, 20, 10},
		{"a break again and again", []said{{11, 1000}, {12, 1000}, {13, 12}, {15, 1000}, {16, 16}}, 10, 20, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := reckoning{since: start}
			for _, s := range test.said {
				r.interrupt(at(s.now), at(s.until))
			}
			require.Equal(t, time.Duration(test.want)*time.Minute, r.counted(at(test.from), at(test.to)))
		})
	}
}

func TestReckoningForgetsInFavourOfDeliveries(t *testing.T) {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	r := reckoning{since: start}
	const n = 10 * maxBreaks
	for i := range n {
		now := start.Add(time.Duration(i) * time.Hour)
		r.interrupt(now, now.Add(time.Minute))
	}
	require.Len(t, r.breaks, maxBreaks)
	end := start.Add(n * time.Hour)
	require.Equal(t, (maxBreaks+1)*59*time.Minute, r.counted(start, end))
	require.Equal(t, 59*time.Minute, r.counted(end.Add(-time.Hour), end))
}
