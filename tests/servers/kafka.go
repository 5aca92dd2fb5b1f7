package servers

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/embedded/childproc"
)

//go:embed kafka
var kafkaFiles embed.FS

// KafkaOptions say how a broker is started.
type KafkaOptions struct {
	// Dir keeps its data; empty: a temporary folder that Stop removes.
	Dir string
	// Properties are more of the broker's settings.
	Properties map[string]string
}

// KafkaProcess is a real broker, one node in KRaft mode, in a process of its own.
type KafkaProcess struct {
	dir  string
	temp bool
	port int
	home string // with the jars

	mu   sync.Mutex
	proc *childproc.Process
	tail *childproc.Tail
}

const (
	kafkaReady  = 3 * time.Minute // seen: 1.2 s with the archive, 3.6 s without, a minute where forty programs want two cores
	kafkaStop   = 20 * time.Second
	clusterID   = "bWlsbHJhY2UtdGVzdHMtMQ" // 22 characters of base64
	kafkaHeap   = "-Xmx512m"
	archiveName = "kafka.jsa"
)

// kafkaHome fetches the broker once and returns its folder.
func kafkaHome(ctx context.Context) (string, error) { return Jars(ctx, kafkaFiles, "kafka") }

// StartKafka starts a broker and returns when it answers. It dies with this process.
func StartKafka(ctx context.Context, o KafkaOptions) (*KafkaProcess, error) {
	home, err := kafkaHome(ctx)
	if err != nil {
		return nil, err
	}
	k := &KafkaProcess{dir: o.Dir, home: home}
	if k.dir == "" {
		if k.dir, err = os.MkdirTemp("", "millrace-kafka-"); err != nil {
			return nil, err
		}
		k.temp = true
	}
	if k.port, err = childproc.FreePort(); err != nil {
		return nil, err
	}
	controller, err := childproc.FreePort()
	if err != nil {
		return nil, err
	}
	if err := k.format(ctx, controller, o.Properties); err != nil {
		return nil, err
	}
	if err := k.launch(ctx); err != nil {
		return nil, errors.Join(err, k.Stop(ctx))
	}
	return k, nil
}

// format writes the configuration and the empty log folder.
func (k *KafkaProcess) format(ctx context.Context, controller int, more map[string]string) error {
	props := strings.NewReplacer("PORT", strconv.Itoa(k.port), "CONTROLLER", strconv.Itoa(controller), "DIR", filepath.Join(k.dir, "logs")).Replace(
		`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:CONTROLLER
listeners=PLAINTEXT://127.0.0.1:PORT,CONTROLLER://127.0.0.1:CONTROLLER
advertised.listeners=PLAINTEXT://127.0.0.1:PORT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=DIR
num.partitions=1
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
log.retention.ms=-1
`)
	for key, value := range more {
		props += key + "=" + value + "\n"
	}
	if err := os.WriteFile(k.config(), []byte(props), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile="+filepath.Join(k.home, "log4j2.xml"), //nolint:gosec // fixed
		"-cp", filepath.Join(k.home, "libs", "*"), "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", clusterID, "-c", k.config())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting Kafka's storage: %w\n%s", err, out)
	}
	return nil
}

func (k *KafkaProcess) config() string { return filepath.Join(k.dir, "server.properties") }

// Bootstrap is the value of bootstrap.servers; it stays the same over restarts.
func (k *KafkaProcess) Bootstrap() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(k.port))
}

func (k *KafkaProcess) launch(ctx context.Context) error {
	args := []string{kafkaHeap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=" + filepath.Join(k.home, "log4j2.xml")}
	// An archive of loaded classes makes the start three times as fast; the first broker that stops in order writes it.
	archive := filepath.Join(k.home, archiveName)
	if _, err := os.Stat(archive); err == nil {
		args = append(args, "-XX:SharedArchiveFile="+archive, "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	} else {
		args = append(args, "-XX:ArchiveClassesAtExit="+filepath.Join(k.dir, archiveName), "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	}
	tail := &childproc.Tail{}
	cmd := exec.Command("java", append(args, "-cp", filepath.Join(k.home, "libs", "*"), "kafka.Kafka", k.config())...) //nolint:gosec,noctx // it outlives ctx
	cmd.Stdout, cmd.Stderr = tail, tail
	cmd.Dir = k.dir
	proc, err := childproc.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.proc, k.tail = proc, tail
	k.mu.Unlock()
	return k.wait(ctx, proc)
}

// wait waits until the broker answers.
func (k *KafkaProcess) wait(ctx context.Context, proc *childproc.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, kafkaReady, fmt.Errorf("not ready after %s", kafkaReady))
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap()))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		asking, stop := context.WithTimeout(ctx, time.Second)
		err := client.Ping(asking)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-proc.Done():
			return fmt.Errorf("the Kafka broker ended: %w\n%s", proc.Err(), k.tail)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the Kafka broker: %w: %w\n%s", context.Cause(ctx), err, k.tail)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (k *KafkaProcess) process() *childproc.Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.proc
}

// Kill ends the broker as a crash would; Restart starts it again.
func (k *KafkaProcess) Kill() error { return k.process().Kill() }

// Freeze stops the broker's threads; Thaw lets them go on.
func (k *KafkaProcess) Freeze() error { return k.process().Signal(syscall.SIGSTOP) }

// Thaw lets a frozen broker go on.
func (k *KafkaProcess) Thaw() error { return k.process().Signal(syscall.SIGCONT) }

// Restart stops the broker, if it runs, and starts it with its data on the same port.
func (k *KafkaProcess) Restart(ctx context.Context) error {
	if err := k.end(ctx); err != nil {
		return err
	}
	return k.launch(ctx)
}

func (k *KafkaProcess) end(ctx context.Context) error {
	proc := k.process()
	if proc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaStop)
	defer cancel()
	if err := proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := proc.Wait(ctx); err != nil {
		return proc.Kill()
	}
	// Whoever else has written one meanwhile has written the same.
	if err := os.Rename(filepath.Join(k.dir, archiveName), filepath.Join(k.home, archiveName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return k.copyArchive()
	}
	return nil
}

// copyArchive puts the archive into the cache where that lies on another file system.
func (k *KafkaProcess) copyArchive() error {
	b, err := os.ReadFile(filepath.Join(k.dir, archiveName))
	if err != nil {
		return err
	}
	half := filepath.Join(k.home, fmt.Sprintf("%s.%d", archiveName, os.Getpid()))
	if err := os.WriteFile(half, b, 0o600); err != nil {
		return err
	}
	return os.Rename(half, filepath.Join(k.home, archiveName))
}

// Stop ends the broker and removes a temporary folder.
func (k *KafkaProcess) Stop(ctx context.Context) error {
	err := k.end(ctx)
	if k.temp {
		err = errors.Join(err, os.RemoveAll(k.dir))
	}
	return err
}
