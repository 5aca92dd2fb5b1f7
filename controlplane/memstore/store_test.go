package memstore_test

import (
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

var _ storetest.Store = (*memstore.Store)(nil)
