package service

import (
	"context"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
)

// watchEvery is how often it is looked for what operators are told of.
const watchEvery = time.Second

// openNotify starts to tell operators what changes for listeners: in the log, and where
// the configuration wants it posted.
func (d *Service) openNotify(s *config.Settings) error {
	log := d.log.With("part", "notify")
	defer d.closing.markFront(len(d.closing.all))
	n := notify.New(s.Notify, log)
	d.closing.run("notifier", n.Run)
	watch := notify.NewWatch(d.id)
	d.closing.run("watch", func(ctx context.Context) error {
		return every(ctx, watchEvery, func() {
			v := d.syncer.View()
			if v.Snapshot == nil {
				return
			}
			for _, e := range watch.See(v.Snapshot) {
				switch e.Kind {
				case notify.OffAir:
					d.log.Error("a mount is off the air: no node plays it", "mount", e.Mount)
				case notify.OnAir:
					d.log.Info("a mount is on the air again", "mount", e.Mount)
				case notify.CertificateEnds:
					d.log.Warn(e.Text, "node", e.Node)
				}
				n.Tell(e)
			}
		})
	})
	return nil
}
