// Package servers starts the real servers that tests need, without containers: a Kafka broker, a schema registry and MySQL
// (Java and Maven are needed), MariaDB, and NATS and Kafka in the process. Postgres is embedded/pgembed.
//
// What can't be started on a machine is left out of the tests with a text that says what to install; with
// MILLRACE_REQUIRE_ALL set, as in CI, that is a failure.
//
// Start reading at Brokers. go run ./tests/servers/cmd/servers run -- COMMAND starts them once for everything that
// COMMAND runs.
package servers

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/millrace/millrace/embedded/kafkaembed"
)

// The environment variables that tests look at.
const (
	KafkaVariable      = "MILLRACE_TEST_KAFKA"  // bootstrap servers of a broker that runs already
	RequireAllVariable = "MILLRACE_REQUIRE_ALL" // leave nothing out
)

// Missing leaves a test out, or fails it where everything must run.
func Missing(t testing.TB, why error) {
	t.Helper()
	if RequireAll() {
		t.Fatal(why)
	}
	t.Skip("left out: " + why.Error())
}

// Optional begins what is said of a test that is left out, where everything must run too.
const Optional = "left out, as it may be: "

// MayBeMissing leaves a test out for want of something that is not ours to keep where it is.
func MayBeMissing(t testing.TB, why error) {
	t.Helper()
	t.Skip(Optional + why.Error())
}

// RequireAll tells whether nothing may be left out.
func RequireAll() bool { return os.Getenv(RequireAllVariable) != "" } //nolint:forbidigo // a test's switch

// Brokers runs a test against every broker: the embedded one and a real one.
func Brokers(t *testing.T, test func(t *testing.T, bootstrap string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, EmbeddedKafka(t))
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		test(t, Kafka(t))
	})
}

var embedded = sync.OnceValues(func() (*kafkaembed.Broker, error) {
	return kafkaembed.Start(context.Background(), kafkaembed.Options{}) // lives as long as the test process
})

// EmbeddedKafka is the address of an embedded broker that the tests of a process share.
func EmbeddedKafka(t testing.TB) string {
	t.Helper()
	b, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bootstrap()
}

var sharedKafka = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(KafkaVariable); given != "" { //nolint:forbidigo // a test's switch
		return given, nil
	}
	k, err := StartKafka(context.Background(), KafkaOptions{}) // dies with the test process
	if err != nil {
		return "", err
	}
	return k.Bootstrap(), nil
})

// RealKafka is the address of a real broker that the tests of a process share, or why there is none.
func RealKafka() (string, error) { return sharedKafka() }

// Kafka is the address of a real broker that the tests of a process share.
func Kafka(t testing.TB) string {
	t.Helper()
	bootstrap, err := sharedKafka()
	if err != nil {
		Missing(t, fmt.Errorf("a real Kafka broker: %w", err))
	}
	return bootstrap
}
