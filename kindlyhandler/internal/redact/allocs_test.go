//go:build !race

package redact

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestJSON_costsNothing has documents in which nothing is found cost no memory.
// Under the race detector, pools forget on purpose.
func TestJSON_costsNothing(t *testing.T) {
	r := newRedactor(t, everything...)
	document, shape := untouched()
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.JSON(document, shape) }))
}
