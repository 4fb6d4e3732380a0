package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// bridge passes what certmagic logs to our log. Most of it is for those who look for a
// fault: what operators are told, this package says itself.
type bridge struct{ log *slog.Logger }

// level returns ours for certmagic's.
func level(l zapcore.Level) slog.Level {
	if l >= zapcore.ErrorLevel {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// Enabled implements [zapcore.Core].
func (b bridge) Enabled(l zapcore.Level) bool {
	return b.log.Enabled(context.Background(), level(l))
}

// With implements [zapcore.Core].
func (b bridge) With(fields []zapcore.Field) zapcore.Core {
	return bridge{b.log.With(attrs(fields)...)}
}

// Check implements [zapcore.Core].
func (b bridge) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return to.AddCore(e, b)
	}
	return to
}

// Write implements [zapcore.Core].
func (b bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	b.log.Log(context.Background(), level(e.Level), "certmagic: "+e.Message, attrs(fields)...)
	return nil
}

// Sync implements [zapcore.Core].
func (bridge) Sync() error { return nil }

func attrs(fields []zapcore.Field) []any {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	all := make([]any, 0, len(m.Fields))
	for k, v := range m.Fields {
		if k == "error" {
			k = "err"
		}
		all = append(all, slog.Any(k, v))
	}
	return all
}
