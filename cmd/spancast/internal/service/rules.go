package service

import (
	"context"
	"time"

	"github.com/spancast/spancast/topics"
)

// rulesInterval is how long new rules take at most to be in force.
const rulesInterval = 2 * time.Second

func (s *Service) openTopics(context.Context) error {
	var rules []topics.Rule
	if s.cfg.TopicRulesFile != "" {
		var err error
		if s.rules, rules, err = topics.OpenRules(s.cfg.TopicRulesFile); err != nil {
			return err
		}
	}
	s.setRules(rules)
	return nil
}

func (s *Service) setRules(rules []topics.Rule) {
	s.router.Store(topics.New(s.cfg.Database.ID(), s.info.Stream, s.cfg.Topic.Template, rules))
}

// watchRules puts new rules in force. A file with faults leaves the old ones.
func (s *Service) watchRules(ctx context.Context) {
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
	})
}
