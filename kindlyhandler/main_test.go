package kindlyhandler_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
)

// suite fails if the tests leave something behind.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := s.M.Run()
	if held := kindlyhandler.BytesHeld(); held != 0 {
		fmt.Fprintf(os.Stderr, "%d bytes of the budgets were not given back\n", held)
		code = 1
	}
	return code
}

func TestMain(m *testing.M) {
	time.Local = time.UTC // transcripts have the times of this machine's zone
	goleak.VerifyTestMain(suite{m})
}
