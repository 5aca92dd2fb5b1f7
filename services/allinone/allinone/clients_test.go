package allinone_test

import (
	"testing"

	"github.com/millrace/millrace/tests/clients"
)

func TestClients_of_Kafka_Connect_manage_connectors_unchanged(t *testing.T) {
	t.Parallel()
	info := start(t, nil)
	clients.All(t, clients.Target{URL: "http://" + info.API, Dir: info.DataDir, Root: "../../.."})
}
