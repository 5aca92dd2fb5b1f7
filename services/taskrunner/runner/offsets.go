package runner

import (
	"context"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/taskrunner/internal/offsetservice"
)

// serveOffsets answers questions about offsets, and changes them.
func (f *factories) serveOffsets(bus *natsbus.Bus) (lifecycle.CloseFunc, error) {
	s := offsetservice.New(offsetservice.Options{Find: f.plugins.Connector, Resolve: f.resolve, Worker: f.worker, Home: f.home, Logger: obs.Named(f.log, obs.LogOffsets)})
	stop, err := f.serve(bus, wire.Offsets, func(ctx context.Context, msg []byte) ([]byte, error) {
		e, err := wire.Open(msg)
		if err != nil {
			return nil, cluster.Wrapf(cluster.Invalid, err, "question can't be read")
		}
		q, err := wire.Decode[wire.OffsetsRequest](e, wire.KindOffsets)
		if err != nil {
			return nil, cluster.Wrapf(cluster.Invalid, err, "question can't be read")
		}
		reply, err := s.Answer(ctx, q)
		if err != nil { // a connector may have put what it was given into its words
			return nil, hide(err, func() []string { return f.secrets.Values(q.Config) })
		}
		return wire.Encode(wire.KindOffsets, e.ID, reply)
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		err := stop(ctx)
		s.Close()
		return err
	}, nil
}
