package service

import (
	"context"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
)

// watchEvery is how often it is looked for what operators are told of.
const watchEvery = time.Second

// openNotify starts to tell operators what changes: in the log, and where the
// configuration wants it posted.
func (d *Service) openNotify(s *config.Settings) error {
	n := notify.New(s.Notify, d.log.With("part", "notify"))
	d.closing.run("notifier", n.Run)
	d.closing.run("watch", func(ctx context.Context) error {
		return every(ctx, watchEvery, func() {
			v := d.syncer.View()
			if v.Snapshot == nil {
				return
			}
			for _, e := range d.watch.See(time.Now(), v.Snapshot, d.conditions()) {
				d.tell(e)
				n.Tell(e)
			}
		})
	})
	return nil
}
