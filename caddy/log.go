package kindly

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"
)

// currentLog logs where the configuration of the moment says. The logger of a
// configuration ends with it, and the runtime goes on.
type currentLog struct{ fields []zapcore.Field }

// Enabled implements [zapcore.Core].
func (currentLog) Enabled(level zapcore.Level) bool { return caddy.Log().Core().Enabled(level) }

// With implements [zapcore.Core].
func (c currentLog) With(fields []zapcore.Field) zapcore.Core {
	return currentLog{append(slices.Clip(c.fields), fields...)}
}

// Check implements [zapcore.Core]. It leaves the writing to the core of the
// moment.
func (c currentLog) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return caddy.Log().Core().With(c.fields).Check(e, ce)
}

// Write implements [zapcore.Core].
func (c currentLog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return caddy.Log().Core().With(c.fields).Write(e, fields)
}

// Sync implements [zapcore.Core].
func (currentLog) Sync() error { return caddy.Log().Sync() }
