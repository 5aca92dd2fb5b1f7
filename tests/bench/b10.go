package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/pgstore"
	"github.com/millrace/millrace/embedded/childproc"
	"github.com/millrace/millrace/tests/servers"
)

const (
	b10Connectors = 10_000
	b10Lists      = 200
	b10Rounds     = 5
	b10Conns      = 32
	b10For        = 12 * time.Second // an arm in a round
	b10Warm       = 2 * time.Second
	b10Peers      = 20 // connectors of Kafka Connect
)

// reads measures what reads cost. The api is a process; nothing else runs but Postgres, NATS and, in its arm, Kafka Connect.
func reads(ctx context.Context, b *bed, r *report) error {
	rounds := b.n
	if rounds == 0 {
		rounds = b10Rounds
	}
	if err := fill(ctx, b.Postgres.URL(), b10Connectors); err != nil {
		return err
	}
	api := strings.TrimPrefix(b.REST.Base, "http://")
	lists := load{addr: api}
	var all []time.Duration
	var size int64
	for i := range 10 + b10Lists {
		took, n, err := lists.once(ctx, "/connectors?expand=status&expand=info")
		if err != nil {
			return err
		}
		if size = n; i >= 10 {
			all = append(all, took)
		}
	}
	r.durations("list_10k", all, "", "≤ 200")
	r.add("list_10k_size", float64(size)/1e6, "MB", 1, "")

	body, err := get(ctx, b.REST.Base+"/connectors/"+b10Name(0)+"/status")
	if err != nil {
		return err
	}
	text, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	binary, err := build(ctx, b.Dir, "./services/api/internal/httpapi/constant")
	if err != nil {
		return err
	}
	constant, stop, err := startConstant(ctx, binary, "-body", string(text))
	if err != nil {
		return err
	}
	defer func() { _ = stop() }()
	bare, stop, err := startConstant(ctx, binary, "-bare", "-body", string(text))
	if err != nil {
		return err
	}
	defer func() { _ = stop() }()
	connect, err := startPeer(ctx, b.kafka)
	if err != nil {
		return err
	}
	defer func() { _ = connect.Stop(context.WithoutCancel(ctx)) }()
	of := func(n int64) func(int64) string {
		return func(i int64) string { return "/connectors/" + b10Name(int(i*7919%n)) + "/status" }
	}
	arms := []struct {
		name string
		load
		rates []float64
		n     int64
	}{
		{name: "framework", load: load{bare, b10Conns, of(b10Connectors)}},
		{name: "constant", load: load{constant, b10Conns, of(b10Connectors)}},
		{name: "millrace", load: load{api, b10Conns, of(b10Connectors)}},
		{name: "connect", load: load{strings.TrimPrefix(connect.Base, "http://"), b10Conns, of(b10Peers)}},
	}
	for i := range rounds + 1 {
		for k := range arms { // alternating, so that all meet the same machine
			d := b10For
			if i == 0 {
				d = b10Warm
			}
			rate, n, err := arms[k].run(ctx, d)
			if err != nil {
				return fmt.Errorf("%s: %w", arms[k].name, err)
			}
			if i > 0 {
				arms[k].rates, arms[k].n = append(arms[k].rates, rate), arms[k].n+n
			}
		}
	}
	for _, a := range arms {
		r.arm = a.name
		r.add("status_rps", median(a.rates), "1/s", int(a.n), "")
		r.add("status_rps_spread", slices.Max(a.rates)/slices.Min(a.rates), "", len(a.rates), "")
	}
	r.arm = ""
	r.add("status_ratio_to_constant", median(arms[2].rates)/median(arms[1].rates), "", rounds, "≥ 0.5")
	r.add("status_ratio_to_framework", median(arms[2].rates)/median(arms[0].rates), "", rounds, "")
	r.add("status_ratio_to_connect", median(arms[2].rates)/median(arms[3].rates), "", rounds, "≥ 2")
	return nil
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func b10Name(i int) string { return fmt.Sprintf("orders-%05d", i) }

// fill stores connectors that run, one task each, as the api, a scheduler and a runner would.
func fill(ctx context.Context, database string, n int) (err error) {
	st, err := pgstore.Open(ctx, pgstore.Options{URL: database, AppName: "millrace-bench"})
	if err != nil {
		return err
	}
	defer st.Close()
	const session, worker, class = "bench", "10.0.0.7:8083", "org.apache.kafka.connect.file.FileStreamSinkConnector"
	if _, _, err := st.Register(ctx, cluster.Registration{Runner: worker, Session: session, KafkaClusterID: "bench"}); err != nil {
		return err
	}
	lease, ok, _, err := st.AcquireLease(ctx, "bench", time.Hour)
	if err != nil || !ok {
		return errors.Join(err, errors.New("the lease was not to be had"))
	}
	uids := make([]cluster.UID, n)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			name := b10Name(i)
			c, _, err := st.CreateConnector(gctx, cluster.NewConnector{UID: cluster.UID("uid-" + name), Name: name, Class: class, Type: cluster.TypeSink, Target: cluster.Started,
				Config: cluster.ConfigOf(map[string]string{"name": name, "connector.class": class, "tasks.max": "1", "topics": "orders", "file": "/data/orders/" + name,
					"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
					"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dlq-" + name}), By: cluster.Author{Actor: "bench"}})
			uids[i] = c.UID
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	run := func(job func(cluster.UID) cluster.JobID) error {
		for part := range slices.Chunk(uids, 500) {
			var plan []cluster.Decision
			var states []cluster.Status
			for _, uid := range part {
				plan = append(plan, cluster.Decision{Kind: cluster.Assign, Job: job(uid), Session: session, Epoch: 1})
				states = append(states, cluster.Status{Job: job(uid), Session: session, Epoch: 1, Revision: 1, State: cluster.StateRunning, WorkerID: worker, Version: "4.3.0"})
			}
			if _, err := st.CommitPlan(ctx, lease.Term, plan); err != nil {
				return err
			}
			accepted, _, _, err := st.StoreStatuses(ctx, states)
			if err == nil && slices.Contains(accepted, false) {
				err = errors.New("a status was refused")
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(cluster.InstanceJob); err != nil {
		return err
	}
	task := cluster.ConfigOf(map[string]string{"task.class": "org.apache.kafka.connect.file.FileStreamSinkTask", "topics": "orders", "file": "/data/orders"})
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, uid := range uids {
		g.Go(func() error {
			_, _, err := st.StoreTaskConfigs(gctx, cluster.TaskConfigReport{Job: cluster.InstanceJob(uid), Session: session, Epoch: 1, ConfigVersion: 1, Tasks: []cluster.Config{task}, Fenceable: true})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return run(func(uid cluster.UID) cluster.JobID { return cluster.TaskJob(uid, 0) })
}

// startConstant starts the server that answers one body.
func startConstant(ctx context.Context, binary string, args ...string) (addr string, stop func() error, err error) {
	port, err := childproc.FreePort()
	if err != nil {
		return "", nil, err
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	proc, err := childproc.Start(exec.Command(binary, append([]string{"-listen", addr}, args...)...), syscall.SIGKILL) //nolint:gosec,noctx // it outlives ctx
	if err != nil {
		return "", nil, err
	}
	return addr, proc.Kill, answers(ctx, "http://"+addr+"/connectors/x/status")
}

// startPeer starts Kafka Connect with connectors that run.
func startPeer(ctx context.Context, kafka string) (*servers.ConnectProcess, error) {
	connect, err := servers.StartConnect(ctx, kafka, servers.ConnectOptions{})
	if err != nil {
		return nil, err
	}
	for i := range b10Peers {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, connect.Base+"/connectors/"+b10Name(i)+"/config",
			strings.NewReader(`{"connector.class":"org.apache.kafka.connect.tools.MockSinkConnector","tasks.max":"1","topics":"b10"}`)) // the source of that kind never rests
		if err != nil {
			return connect, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return connect, err
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusCreated {
			return connect, errors.Join(err, fmt.Errorf("kafka connect answered %s", resp.Status))
		}
		if err := answers(ctx, connect.Base+"/connectors/"+b10Name(i)+"/tasks/0/status"); err != nil {
			return connect, err
		}
	}
	return connect, nil
}

// answers waits until a URL is answered with 200.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		body, err := get(ctx, url)
		if err == nil {
			return body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", url, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// get asks for something that must be answered with 200.
func get(ctx context.Context, address string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s answered %s", address, resp.Status)
	}
	return resp.Body, nil
}
