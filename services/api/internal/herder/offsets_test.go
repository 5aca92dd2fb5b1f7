package herder_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// desk plays the runner that answers for offsets.
type desk struct {
	mu     sync.Mutex
	asked  []wire.OffsetsRequest
	answer func(wire.OffsetsRequest) (wire.OffsetsReply, error)
}

func (w *world) desk(class string, answer func(wire.OffsetsRequest) (wire.OffsetsReply, error)) *desk {
	w.Helper()
	d := &desk{answer: answer}
	stop, err := w.bus.Serve(wire.Offsets(class), func(_ context.Context, msg []byte) ([]byte, error) {
		e, err := wire.Open(msg)
		if err != nil {
			return nil, err
		}
		q, err := wire.Decode[wire.OffsetsRequest](e, wire.KindOffsets)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		d.asked = append(d.asked, q)
		d.mu.Unlock()
		reply, err := d.answer(q)
		if err != nil {
			return nil, err
		}
		return wire.Encode(wire.KindOffsets, e.ID, reply)
	})
	require.NoError(w, err)
	w.Cleanup(stop)
	return d
}

func handled(wire.OffsetsRequest) (wire.OffsetsReply, error) {
	return wire.OffsetsReply{Handled: true}, nil
}

func (w *world) make(name, class string, target cluster.TargetState) {
	w.Helper()
	_, _, err := w.Create(w.Context(), herder.CreateRequest{Name: name, Target: target, By: by,
		Config: cluster.ConfigOf(map[string]string{"connector.class": class, "items": "3", "topics": "t", "value.converter": text})})
	require.NoError(w, err)
}

func change(partition, offset string) wire.OffsetEntry {
	e := wire.OffsetEntry{}
	if partition != "" {
		e.Partition = json.RawMessage(partition)
	}
	if offset != "" {
		e.Offset = json.RawMessage(offset)
	}
	return e
}

const stopFirst = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/c/stop' endpoint"

func TestOffsets_are_read_from_a_runner_in_any_state_and_in_as_many_parts_as_it_takes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Offsets(t.Context(), "c")
	w.refused(err, cluster.NotFound, "Connector c not found")
	w.make("c", source, cluster.Started)
	d := w.desk(source, func(q wire.OffsetsRequest) (wire.OffsetsReply, error) {
		switch q.After {
		case "":
			return wire.OffsetsReply{Offsets: []wire.OffsetEntry{change(`{"p":1}`, `{"o":1}`)}, Next: "1"}, nil
		case "1":
			return wire.OffsetsReply{Offsets: []wire.OffsetEntry{change(`{"p":2}`, `{"o":2}`)}, Next: "2"}, nil
		}
		return wire.OffsetsReply{}, nil
	})
	info, err := w.Offsets(t.Context(), "c")
	require.NoError(t, err)
	b, err := json.Marshal(info)
	require.NoError(t, err)
	require.JSONEq(t, `{"offsets":[{"partition":{"p":1},"offset":{"o":1}},{"partition":{"p":2},"offset":{"o":2}}]}`, string(b))
	require.Len(t, d.asked, 3)
	q := d.asked[0]
	require.Equal(t, wire.ListOffsets, q.Action)
	require.Equal(t, "c", q.Connector)
	require.Equal(t, w.view("c").UID, q.UID)
	require.Equal(t, cluster.TypeSource, q.Type)
	require.Equal(t, w.view("c").Config, q.Config)

	w.make("none", source, cluster.Paused)
	d.answer = func(wire.OffsetsRequest) (wire.OffsetsReply, error) { return wire.OffsetsReply{}, nil }
	info, err = w.Offsets(t.Context(), "none")
	require.NoError(t, err)
	b, err = json.Marshal(info)
	require.NoError(t, err)
	require.JSONEq(t, `{"offsets":[]}`, string(b))
}

func TestOffsets_a_change_is_checked_in_order_before_anybody_is_asked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk(source, handled)
	some := []wire.OffsetEntry{change(`{"p":1}`, `{"o":1}`)}
	_, err := w.AlterOffsets(t.Context(), "c", nil, by)
	w.refused(err, cluster.Invalid, "Partitions / offsets need to be provided for an alter offsets request")
	_, err = w.AlterOffsets(t.Context(), "c", some, by)
	w.refused(err, cluster.NotFound, "Connector c not found")
	_, err = w.ResetOffsets(t.Context(), "c", by)
	w.refused(err, cluster.NotFound, "Connector c not found")
	w.make("c", source, cluster.Started)
	for _, target := range []cluster.TargetState{cluster.Started, cluster.Paused} {
		_, err = w.SetTarget(t.Context(), "c", target, by)
		require.NoError(t, err)
		_, err = w.AlterOffsets(t.Context(), "c", some, by)
		w.refused(err, cluster.Invalid, stopFirst)
		require.Equal(t, stopFirst, err.Error())
		_, err = w.ResetOffsets(t.Context(), "c", by)
		w.refused(err, cluster.Invalid, stopFirst)
	}
	require.Empty(t, d.asked)

	_, err = w.SetTarget(t.Context(), "c", cluster.Stopped, by)
	require.NoError(t, err)
	m, err := w.AlterOffsets(t.Context(), "c", some, by)
	require.NoError(t, err)
	require.Equal(t, "The offsets for this connector have been altered successfully", m.Message)
	m, err = w.ResetOffsets(t.Context(), "c", by)
	require.NoError(t, err)
	require.Equal(t, "The offsets for this connector have been reset successfully", m.Message)
	require.Equal(t, some, d.asked[0].Changes)
	require.Equal(t, wire.AlterOffsets, d.asked[0].Action)
	require.Equal(t, wire.ResetOffsets, d.asked[1].Action)
	log, err := w.store.Audit(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, "reset offsets", log[0].Action)
	require.Equal(t, "alter offsets", log[1].Action)
	require.Equal(t, "1 entries", log[1].Detail)
	require.Equal(t, by.Actor, log[1].Actor)

	d.answer = func(wire.OffsetsRequest) (wire.OffsetsReply, error) { return wire.OffsetsReply{}, nil }
	m, err = w.AlterOffsets(t.Context(), "c", some, by)
	require.NoError(t, err)
	require.Equal(t, "The Connect framework-managed offsets for this connector have been altered successfully. However, if this connector manages offsets externally, "+
		"they will need to be manually altered in the system that the connector uses.", m.Message)
	m, err = w.ResetOffsets(t.Context(), "c", by)
	require.NoError(t, err)
	require.Equal(t, "The Connect framework-managed offsets for this connector have been reset successfully. However, if this connector manages offsets externally, "+
		"they will need to be manually reset in the system that the connector uses.", m.Message)
}

func TestOffsets_of_a_sink_are_checked_entry_by_entry_and_written_in_one_form(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk(sink, handled)
	w.make("c", sink, cluster.Stopped)
	for _, c := range []struct{ partition, offset, want string }{
		{"", "", "The partition for a sink connector offset cannot be null or missing"},
		{"null", "", "The partition for a sink connector offset cannot be null or missing"},
		{`{}`, `{}`, "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"},
		{`{"kafka_topic":"t"}`, "", "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"},
		{`{"kafka_partition":0}`, "", "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"},
		{`{"kafka_topic":null,"kafka_partition":null}`, "", "Kafka topic names must be valid strings and may not be null"},
		{`{"kafka_topic":"t","kafka_partition":null}`, "", "Kafka partitions must be valid numbers and may not be null"},
		{`{"kafka_topic":"t","kafka_partition":"not a number"}`, `{}`, "Failed to parse the following Kafka partition value in the provided offsets: 'not a number'. Partition values for sink connectors need to be integers."},
		{`{"kafka_topic":"t","kafka_partition":" 0"}`, "", "value in the provided offsets: ' 0'."},
		{`{"kafka_topic":"t","kafka_partition":""}`, "", "value in the provided offsets: ''."},
		{`{"kafka_topic":"t","kafka_partition":1.0}`, "", "value in the provided offsets: '1.0'."},
		{`{"kafka_topic":"t","kafka_partition":1e3}`, "", "value in the provided offsets: '1000.0'."},
		{`{"kafka_topic":"t","kafka_partition":2147483648}`, "", "value in the provided offsets: '2147483648'."},
		{`{"kafka_topic":"t","kafka_partition":true}`, "", "value in the provided offsets: 'true'."},
		{`{"kafka_topic":"t","kafka_partition":[1, "x",null]}`, "", "value in the provided offsets: '[1, x, null]'."},
		{`{"kafka_topic":"t","kafka_partition":{}}`, "", "value in the provided offsets: '{}'."},
		{`{"kafka_topic":"t","kafka_partition":"0x0"}`, "", "value in the provided offsets: '0x0'."},
		{`{"kafka_topic":"t","kafka_partition":0}`, `{}`, "The offset for a sink connector should either be null or contain the key 'kafka_offset'"},
		{`{"kafka_topic":"t","kafka_partition":0}`, `{"x":1}`, "The offset for a sink connector should either be null or contain the key 'kafka_offset'"},
		{`{"kafka_topic":"t","kafka_partition":0}`, `{"kafka_offset":null}`, "Failed to parse the following Kafka offset value in the provided offsets: 'null'. Offset values for sink connectors need to be integers."},
		{`{"kafka_topic":"t","kafka_partition":0}`, `{"kafka_offset":9223372036854775808}`, "value in the provided offsets: '9223372036854775808'."},
		{`{"kafka_topic":"t","kafka_partition":0}`, `{"kafka_offset":{"a":1,"b":[{}]}}`, "value in the provided offsets: '{a=1, b=[{}]}'."},
	} {
		// An entry that is fine before it changes nothing: all are checked before anything is done.
		_, err := w.AlterOffsets(t.Context(), "c", []wire.OffsetEntry{change(`{"kafka_topic":"t","kafka_partition":0}`, ""), change(c.partition, c.offset)}, by)
		w.refused(err, cluster.Invalid, c.want)
	}
	require.Empty(t, d.asked)

	_, err := w.AlterOffsets(t.Context(), "c", []wire.OffsetEntry{
		change(`{"kafka_topic":"t","kafka_partition":"0","x":1}`, `{"kafka_offset":"5","y":{}}`),
		change(`{"kafka_partition":-1,"kafka_topic":5}`, `null`),
		change(`{"kafka_partition":"+7","kafka_topic":{"a":1}}`, ``),
		change(`{"kafka_partition":-0,"kafka_topic":""}`, `{"kafka_offset":9223372036854775807}`),
	}, by)
	require.NoError(t, err)
	require.Equal(t, []wire.OffsetEntry{
		change(`{"kafka_topic":"t","kafka_partition":0}`, `{"kafka_offset":5}`),
		change(`{"kafka_topic":"5","kafka_partition":-1}`, ""),
		change(`{"kafka_topic":"{a=1}","kafka_partition":7}`, ""),
		change(`{"kafka_topic":"","kafka_partition":0}`, `{"kafka_offset":9223372036854775807}`),
	}, d.asked[0].Changes)
}

func TestOffsets_a_change_waits_for_tasks_that_are_just_ending_and_names_how_many_there_were(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.desk(source, handled)
		v := w.running("c", 2)
		_, err := w.SetTarget(t.Context(), "c", cluster.Stopped, by)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := w.ResetOffsets(t.Context(), "c", by)
			done <- err
		}()
		synctest.Wait()
		require.Empty(t, d.asked)
		for i := range 2 {
			job := cluster.TaskJob(v.UID, i)
			_, _, _, err := w.store.StoreStatuses(t.Context(), []cluster.Status{{Job: job, Session: session, Epoch: 1, State: cluster.StateUnassigned, Released: true}})
			require.NoError(t, err)
		}
		require.NoError(t, <-done)
		require.Equal(t, 2, d.asked[0].FormerTasks)
	})
}

func TestOffsets_tasks_that_do_not_end_are_left_to_Kafka_and_a_resume_meanwhile_ends_the_wait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.desk(source, handled)
		w.running("c", 1)
		_, err := w.SetTarget(t.Context(), "c", cluster.Stopped, by)
		require.NoError(t, err)
		began := time.Now()
		_, err = w.ResetOffsets(t.Context(), "c", by)
		require.NoError(t, err)
		require.Len(t, d.asked, 1)
		require.Equal(t, 10*time.Second, time.Since(began))

		done := make(chan error, 1)
		go func() {
			_, err := w.ResetOffsets(t.Context(), "c", by)
			done <- err
		}()
		synctest.Wait()
		_, err = w.SetTarget(t.Context(), "c", cluster.Started, by)
		require.NoError(t, err)
		w.refused(<-done, cluster.Invalid, stopFirst)
		require.Len(t, d.asked, 1)
	})
}

func TestOffsets_failures_say_what_failed_and_what_to_do(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make("c", source, cluster.Stopped)
	w.make("k", sink, cluster.Stopped)
	some := []wire.OffsetEntry{change(`{"kafka_topic":"t","kafka_partition":0}`, "")}
	ask := func(name string) map[string]error {
		_, list := w.Offsets(t.Context(), name)
		_, alter := w.AlterOffsets(t.Context(), name, some, by)
		_, reset := w.ResetOffsets(t.Context(), name, by)
		return map[string]error{"list": list, "alter": alter, "reset": reset}
	}
	for name, texts := range map[string]map[string]string{
		"c": {"list": "Failed to retrieve offsets for source connector c", "alter": "Failed to modify offsets for source connector c", "reset": "Failed to modify offsets for source connector c"},
		"k": {"list": "Failed to retrieve consumer group offsets for sink connector k", "alter": "Failed to alter consumer group offsets for connector k",
			"reset": "Failed to reset consumer group offsets for sink connector k"},
	} {
		for action, err := range ask(name) {
			w.refused(err, cluster.Failed, "no task runner with the plugin")
			require.True(t, strings.HasPrefix(err.Error(), texts[action]), err.Error())
		}
	}
	d := w.desk(source, func(wire.OffsetsRequest) (wire.OffsetsReply, error) {
		return wire.OffsetsReply{}, cluster.Errorf(cluster.Failed, "as the runner says")
	})
	for _, err := range ask("c") {
		w.refused(err, cluster.Failed)
		require.Equal(t, "as the runner says", err.Error())
	}
	d.asked = nil
	_, err := w.AlterOffsets(t.Context(), "c", []wire.OffsetEntry{change(`{"p":"`+strings.Repeat("x", 1<<20)+`"}`, "")}, by)
	w.refused(err, cluster.Invalid, "Send the offsets in several requests")
	require.Empty(t, d.asked)
}

func TestOffsets_a_runner_that_does_not_answer_in_time(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		defer close(hold)
		for _, class := range []string{source, sink} {
			w.desk(class, func(wire.OffsetsRequest) (wire.OffsetsReply, error) {
				<-hold
				return wire.OffsetsReply{}, errors.New("late")
			})
		}
		w.make("c", source, cluster.Stopped)
		w.make("k", sink, cluster.Stopped)
		_, err := w.ResetOffsets(t.Context(), "c", by)
		w.refused(err, cluster.Failed, "Timed out while attempting to modify offsets for source connector c")
		_, err = w.ResetOffsets(t.Context(), "k", by)
		w.refused(err, cluster.Failed, "Failed to reset consumer group offsets for sink connector k")
		_, err = w.Offsets(t.Context(), "c")
		w.refused(err, cluster.Failed, "Failed to retrieve offsets for source connector c")
	})
}

func TestOffsets_a_source_that_is_resumed_while_they_are_changed_is_no_success(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]string{source: "Stop it and repeat the request", sink: ""} {
		w := newWorld(t)
		w.make("c", class, cluster.Stopped)
		w.desk(class, func(wire.OffsetsRequest) (wire.OffsetsReply, error) {
			_, err := w.SetTarget(t.Context(), "c", cluster.Started, by)
			return wire.OffsetsReply{}, err
		})
		_, err := w.ResetOffsets(t.Context(), "c", by)
		if want == "" {
			require.NoError(t, err, "Kafka would have refused it")
			continue
		}
		w.refused(err, cluster.Failed, want)
	}
	w := newWorld(t)
	w.make("c", source, cluster.Stopped)
	w.desk(source, func(wire.OffsetsRequest) (wire.OffsetsReply, error) {
		_, err := w.Delete(t.Context(), "c", by)
		return wire.OffsetsReply{}, err
	})
	_, err := w.ResetOffsets(t.Context(), "c", by)
	require.NoError(t, err)
}
