package service

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web"
)

// operatorRules returns the client rules of an overlay that are in force at now, except
// those that cannot be parsed: the syncer's status reports them.
func operatorRules(o store.Overlay, now time.Time) []web.Rule {
	var rules []web.Rule
	for _, r := range o.InForce(now).Rules {
		rule, err := web.ParseRule(r.Rule)
		if err != nil {
			continue
		}
		rule.ID = r.ID
		rules = append(rules, rule)
	}
	return rules
}

// checkRule checks a client rule of an overlay.
func checkRule(text json.RawMessage) error {
	_, err := web.ParseRule(text)
	return err
}

// policy returns the policy of the settings, with the operators' rules.
func (d *Service) policy(s *config.Settings) web.Policy {
	p := s.Policy
	p.Overlay = operatorRules(d.syncer.Overlay(), d.syncer.Now())
	return p
}

// followRules applies operators' rules when they change or expire, until ctx is done.
func (d *Service) followRules(ctx context.Context) error {
	for {
		changed := d.syncer.Changes()
		d.renewRules()
		select {
		case <-ctx.Done():
			return nil
		case <-changed: // also when an entry expires
		}
	}
}

func (d *Service) renewRules() {
	d.reload.Lock()
	defer d.reload.Unlock()
	p := d.policy(d.settings.Load())
	if reflect.DeepEqual(p.Overlay, d.operatorRules) {
		return
	}
	if err := d.web.SetPolicy(p); err != nil { // should not happen: each was checked
		d.log.Error("operators' client rules cannot be put in force; the old ones stay", "err", err)
		return
	}
	d.operatorRules = p.Overlay
}
