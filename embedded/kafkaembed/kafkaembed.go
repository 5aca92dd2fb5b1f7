// Package kafkaembed runs a Kafka broker inside this process, for the all-in-one and for tests: kfake on a loopback port,
// so that any Kafka client can join. It is for local use: one process, no replication, no authentication.
package kafkaembed

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Options say where data lives and where the broker listens.
type Options struct {
	// DataDir keeps topics, groups and transactions over restarts. Empty: memory only.
	DataDir string
	// Port on 127.0.0.1; 0 = any free one.
	Port int
	// Partitions of topics that clients create by using them; 0 = 1.
	Partitions int
}

// Broker is a running broker. Close it.
type Broker struct {
	cluster *kfake.Cluster
	close   sync.Once
}

// Start starts a broker that creates topics on first use and lets groups form at once.
func Start(_ context.Context, o Options) (*Broker, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(o.Port), kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(max(1, o.Partitions)),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
	}
	if o.DataDir != "" {
		opts = append(opts, kfake.DataDir(o.DataDir), kfake.SyncWrites())
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded Kafka broker: %w", err)
	}
	return &Broker{cluster: c}, nil
}

// Bootstrap is the value of bootstrap.servers.
func (b *Broker) Bootstrap() string { return strings.Join(b.cluster.ListenAddrs(), ",") }

// Close stops the broker. Safe to call twice.
func (b *Broker) Close(context.Context) error {
	b.close.Do(b.cluster.Close)
	return nil
}
