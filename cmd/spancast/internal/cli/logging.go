package cli

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// newLogger returns the log of a command, on stderr.
func newLogger(cfg *config.Loaded) *slog.Logger {
	return loggerTo(os.Stderr, cfg.LogFormat == "text" || cfg.LogFormat == "" && isTerminal(os.Stderr), cfg.LogLevel.Level)
}

func loggerTo(w io.Writer, text bool, level slog.Level) *slog.Logger {
	if text {
		f, ok := w.(*os.File)
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !ok || !isTerminal(f)}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: severity}))
}

// severity names level and message as Cloud Logging reads them; others can read
// them as well.
func severity(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		a.Key = "severity"
		if a.Value.Any() == slog.LevelWarn {
			a.Value = slog.StringValue("WARNING")
		}
	case slog.MessageKey:
		a.Key = "message"
	}
	return a
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// colours tells whether output to f may have colours.
func colours(f *os.File) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(f) }
