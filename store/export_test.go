package store

import "context"

// Edit replaces the whole overlay, as other versions of Signpost may do, without a history.
func (s *Syncer) Edit(ctx context.Context, at Revision, o Overlay) (Revision, error) {
	return s.edit(ctx, at, o)
}
