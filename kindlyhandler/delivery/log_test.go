package delivery_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// logged returns all that was logged, as text.
func (r *rig) logged() string {
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	var all strings.Builder
	for _, entry := range r.logs.All() {
		line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		require.NoError(r, err)
		all.Write(line.Bytes())
	}
	return all.String()
}

// levels counts the lines above debug.
func (r *rig) levels() map[zapcore.Level]int {
	levels := make(map[zapcore.Level]int)
	for _, entry := range r.logs.TakeAll() {
		if entry.Level > zap.DebugLevel {
			levels[entry.Level]++
		}
	}
	return levels
}

func TestLogOfAPause(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(always(unauthorized))
		for range 10 {
			r.submits(5 * time.Second)
		}
		r.at(time.Hour)
		paused := r.logs.FilterMessageSnippet("upstream paused").All()
		require.Len(r, paused, 1)
		require.Equal(r, zap.ErrorLevel, paused[0].Level)
		fields := paused[0].ContextMap()
		require.Len(r, fields["delivery"], 36)
		delete(fields, "delivery")
		require.Equal(r, map[string]any{
			"webhook": "support", "upstream": "zendesk", "status": int64(401), "error": "401 Unauthorized",
		}, fields)
		require.Equal(r, map[zapcore.Level]int{zap.ErrorLevel: 1}, r.levels(), "loud, and once")

		r.upstream.replies(always(success))
		r.at(2 * time.Hour)
		again := r.logs.FilterMessage("upstream works again").All()
		require.Len(r, again, 1)
		require.Equal(r, "paused", again[0].ContextMap()["was"])
		levels := r.levels()
		require.Zero(r, levels[zap.WarnLevel]+levels[zap.ErrorLevel])
	})
}

func TestLogOfAnOutage(t *testing.T) {
	run(t, func(r *rig) {
		r.breaks()
		r.at(time.Hour)
		down := r.logs.FilterMessageSnippet("upstream seems to be down").All()
		require.Len(r, down, 1)
		require.Equal(r, zap.WarnLevel, down[0].Level)
		require.EqualValues(r, 503, down[0].ContextMap()["status"])
		require.Equal(r, map[zapcore.Level]int{zap.WarnLevel: 5}, r.levels(), "four attempts, and the news")
	})
}

func TestLogOfAttempts(t *testing.T) {
	for _, test := range []struct {
		name    string
		reply   reply
		level   zapcore.Level
		message string
	}{
		{"delivered", always(success), zap.DebugLevel, "ticket delivered"},
		{"failed", always(after(time.Hour, tooMany)), zap.WarnLevel, "attempt failed"},
		{"dead", always(badRequest), zap.ErrorLevel, "ticket not delivered: the delivery is a dead letter now"},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.upstream.replies(test.reply)
				d := r.submits(5 * time.Second)
				lines := r.logs.All()
				require.Len(r, lines, 1)
				require.Equal(r, test.level, lines[0].Level)
				require.Equal(r, test.message, lines[0].Message)
				fields := lines[0].ContextMap()
				require.Equal(r, d.ID.String(), fields["delivery"])
				require.Equal(r, "support", fields["webhook"])
				require.Equal(r, "zendesk", fields["upstream"])
				require.EqualValues(r, 1, fields["attempt"])
			})
		})
	}
}

func TestLogHasNoTextOfStrangers(t *testing.T) {
	const secret = "s3cret"
	run(t, func(r *rig) {
		r.upstream.fetches(func(_ context.Context, d *delivery.Delivery) *delivery.Outcome {
			d.Transcript = []byte(secret)
			return nil
		})
		outcomes := []delivery.Outcome{success, unavailable, after(time.Second, unavailable), forbidden, badRequest, unauthorized, held(time.Second, tooMany), noTranscript}
		for i := range outcomes {
			outcomes[i].Ticket = delivery.Ticket{ID: secret, URL: secret}
		}
		r.upstream.replies(inTurn(outcomes...))
		for range 30 {
			d := r.inChat(secret)
			d.Event, d.Body, d.Memo = secret, []byte(secret), secret
			r.submit(5*time.Second, d)
			r.passes(time.Minute)
		}
		r.shutdown(time.Second)
		require.NoError(r, r.q.Close())
		require.NotEmpty(r, r.logged())
		require.NotContains(r, r.logged(), secret)
	})
}
