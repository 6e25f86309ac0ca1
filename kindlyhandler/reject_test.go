package kindlyhandler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestComplaints(t *testing.T) {
	var c complaints
	second := time.Unix(1_000_000, 0)
	for range complaintsPerSecond {
		more, ok := c.allow(reasonSignature, second)
		assert.True(t, ok)
		assert.Zero(t, more)
	}
	for range 5 {
		_, ok := c.allow(reasonSignature, second.Add(time.Second-1))
		assert.False(t, ok, "more than ten in a second")
	}
	_, ok := c.allow(reasonMethod, second)
	assert.True(t, ok, "another reason")

	more, ok := c.allow(reasonSignature, second.Add(time.Second))
	assert.True(t, ok, "the next second")
	assert.Equal(t, 5, more, "it counts those that were not logged")
	more, _ = c.allow(reasonSignature, second.Add(time.Second))
	assert.Zero(t, more, "once")
}

func TestError_saysNothing(t *testing.T) {
	for _, e := range []*Error{
		refuse(401, reasonSignature, errSignature),
		refuse(413, reasonTooLarge, errLength),
	} {
		assert.EqualError(t, e, "webhook refused")
	}
}
