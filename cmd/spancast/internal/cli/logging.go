package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/spancast/spancast/cmd/spancast/internal/config"
)

// newLogger returns the log of a command, on stderr, and its level, which may be
// changed.
func newLogger(cfg *config.Loaded) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel.Level)
	return loggerTo(os.Stderr, cfg.LogFormat == "text" || cfg.LogFormat == "" && isTerminal(os.Stderr), level), level
}

// followSignals lets SIGUSR1 make the log say everything, and SIGUSR2 what was
// configured, until ctx is done. SIGHUP, with which many services are told to read
// their files again, is answered, so that it does not end this one as a crash
// would; at a terminal it is its end, which untilSignal sees to.
func followSignals(ctx context.Context, log *slog.Logger, level *slog.LevelVar) {
	configured := level.Level()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	if !isTerminal(os.Stderr) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				if s == syscall.SIGHUP {
					log.Info("SIGHUP changes nothing: files are watched, and used when they change; variables and flags are read at the start")
					continue
				}
				to := configured
				if s == syscall.SIGUSR1 {
					to = slog.LevelDebug
				}
				log.Info("the log level was changed", "from", level.Level(), "to", to)
				level.Set(to)
			}
		}
	}()
}

func loggerTo(w io.Writer, text bool, level slog.Leveler) *slog.Logger {
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
	if a.Value.Kind() == slog.KindDuration { // not a number of which nobody knows the unit
		a.Value = slog.StringValue(a.Value.Duration().String())
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
