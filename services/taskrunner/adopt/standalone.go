package adopt

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// offsetFileKey says where a standalone worker keeps the offsets of its sources.
const offsetFileKey = "offset.storage.file.filename"

// standalone tells whether what is taken over is a standalone worker.
func (o Options) standalone() bool { return len(o.Files) > 0 }

// readStandalone reads what a standalone worker has: its connectors' files and its file of offsets. A worker that has never
// written offsets has no such file.
func readStandalone(o Options) (*Topics, error) {
	t := NewTopics()
	for _, path := range o.Files {
		c, err := workerconfig.ReadConnector(path)
		if err != nil {
			return nil, exitcode.Input(err)
		}
		s := t.connector(c.Name)
		if s.config != nil {
			return nil, exitcode.Input(fmt.Errorf("connector %s stands in two of the files; the second is %s", c.Name, path))
		}
		s.config = cluster.ConfigOf(c.Config)
		s.target, _ = cluster.InitialTarget(c.InitialState) // a file that says nothing means started
	}
	path := o.Worker[offsetFileKey]
	if path == "" {
		return nil, exitcode.Input(fmt.Errorf("the worker configuration of the standalone worker has no %s (-worker-config)", offsetFileKey))
	}
	all, err := readJavaMap(path)
	if errors.Is(err, fs.ErrNotExist) {
		o.say("There is no %s, where %s says that offsets are: sources begin at their beginning", path, offsetFileKey)
		return t, nil
	}
	if err != nil {
		return nil, exitcode.Input(err)
	}
	for _, e := range all {
		t.Offset(kafkaio.Record{Key: e.key, Value: e.value})
	}
	return t, nil
}
