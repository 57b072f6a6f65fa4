package service

import (
	"context"
	"time"

	"cloud.google.com/go/spanner"

	"github.com/spancast/spancast/changestream"
	"github.com/spancast/spancast/cmd/spancast/internal/config"
	"github.com/spancast/spancast/cmd/spancast/internal/connect"
	"github.com/spancast/spancast/recovery"
	"github.com/spancast/spancast/topics"
)

// rulesInterval is how long new rules take at most to be in force.
const rulesInterval = 2 * time.Second

func (s *Service) openTopics(context.Context) error {
	file, rules, err := openRules(s.cfg)
	if err != nil {
		return err
	}
	s.rules = file
	s.setRules(rules)
	return nil
}

// openRules reads the rules file, if there is one.
func openRules(cfg *config.Loaded) (*topics.RulesFile, []topics.Rule, error) {
	if cfg.TopicRulesFile == "" {
		return nil, nil, nil
	}
	return topics.OpenRules(cfg.TopicRulesFile)
}

func newRouter(cfg *config.Loaded, info changestream.Info, rules []topics.Rule) *topics.Router {
	return topics.New(cfg.Database.ID(), info.Stream, cfg.Topic.Template, rules)
}

func (s *Service) setRules(rules []topics.Rule) { s.router.Store(newRouter(s.cfg, s.info, rules)) }

// noKeys lists which {key.NAME} of the topics are NULL, as far as the tables can
// be seen. They are not looked for when none is named.
func noKeys(ctx context.Context, cfg *config.Loaded, source *spanner.Client, info changestream.Info, router *topics.Router) ([]topics.KeyColumn, error) {
	if len(router.NoKeys(nil)) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connect.Timeout)
	defer cancel()
	keys, err := recovery.KeyColumns(ctx, source, info, ownTable(cfg))
	if err != nil || len(keys) == 0 { // nothing is watched yet, or the role sees none of it
		return nil, err
	}
	return router.NoKeys(keys), nil
}

// warnOfKeys says in the log what noKeys finds.
func (s *Service) warnOfKeys(ctx context.Context) {
	missing, err := noKeys(ctx, s.cfg, s.source, s.info, s.router.Load())
	if err != nil && ctx.Err() == nil {
		s.log.Warn("whether tables have the key columns that topic templates name is not known", "error", err)
	}
	for _, k := range missing {
		s.log.Warn("a topic template names a key column that no table has, of those that it is for and that can be seen: it is NULL in every topic",
			"template", k.Template.String(), "column", k.Name, "from", k.From())
	}
}

// watchRules puts new rules in force. A file with faults leaves the old ones.
func (s *Service) watchRules(ctx context.Context) {
	s.warnOfKeys(ctx)
	if s.rules == nil {
		return
	}
	s.rules.Watch(ctx, rulesInterval, func(rules []topics.Rule, err error) {
		s.telemetry.Reloaded(err)
		if err != nil {
			s.log.Error("the new topic rules are not used, the old ones stay in force", "error", err)
			return
		}
		s.setRules(rules)
		s.log.Info("new topic rules are in force", "rules", len(rules))
		s.warnOfKeys(ctx)
	})
}
