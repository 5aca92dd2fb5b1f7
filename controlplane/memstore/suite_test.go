package memstore_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) storetest.Store { return memstore.New(time.Now) })
}
