package bolt

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestQueue_take(t *testing.T) {
	putIn := func(chat uint64) *operation {
		return &operation{done: make(chan struct{}), entries: []*entry{{}, {record: record{chat: chat}}}}
	}
	put := func() *operation { return putIn(0) }
	find := func() *operation { return &operation{done: make(chan struct{})} }
	for name, c := range map[string]struct {
		comes   []*operation
		passes  time.Duration
		hurry   bool
		closed  bool
		expects int // completions, of two
	}{
		"a completion can wait":            {comes: []*operation{put(), put()}},
		"not for long":                     {comes: []*operation{put()}, passes: maxLinger, expects: 2},
		"also if nothing else comes":       {passes: maxLinger, expects: 2},
		"what may read has to find it":     {comes: []*operation{put(), find()}, expects: 2},
		"another chat can be before it":    {comes: []*operation{put(), putIn(2)}},
		"its chat's next one cannot":       {comes: []*operation{put(), putIn(1)}, expects: 2},
		"it is wanted at once":             {comes: []*operation{put()}, hurry: true, expects: 2},
		"nothing else comes before an end": {closed: true, passes: maxLinger, expects: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q queue
				q.init()
				q.put(&operation{})
				q.put(&operation{chat: 1})
				for _, o := range c.comes {
					q.put(o)
				}
				if c.closed {
					q.close()
				}
				time.Sleep(c.passes)
				completions, operations := q.take(maxUnsaved, c.hurry)
				assert.Len(t, completions, c.expects)
				assert.Len(t, operations, len(c.comes))
			})
		})
	}
}

// What could not be committed is not tried again in a hot loop.
func TestQueue_back(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.init()
		q.put(&operation{})
		time.Sleep(maxLinger)
		completions, _ := q.take(maxUnsaved, false)
		assert.Len(t, completions, 1)
		q.back(completions...)
		assert.Equal(t, maxLinger, q.linger())
	})
}
