package herder

import (
	"encoding/json"

	"github.com/millrace/millrace/controlplane/cluster"
)

// ServerInfo answers GET /.
type ServerInfo struct {
	Version        string `json:"version"`
	Commit         string `json:"commit"`
	KafkaClusterID string `json:"kafka_cluster_id"`
}

// TaskID names a task.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// ConnectorInfo is a connector's configuration and tasks.
type ConnectorInfo struct {
	Name   string                `json:"name"`
	Config cluster.Config        `json:"config"`
	Tasks  []TaskID              `json:"tasks"`
	Type   cluster.ConnectorType `json:"type"`

	Ref cluster.ConfigRef `json:"-"` // the version of the configuration that it shows
}

// TaskInfo is a task with its configuration.
type TaskInfo struct {
	ID     TaskID         `json:"id"`
	Config cluster.Config `json:"config"`
}

// State is the state of a connector instance.
type State struct {
	State    cluster.State    `json:"state"`
	WorkerID cluster.RunnerID `json:"worker_id"`
	Trace    string           `json:"trace,omitempty"`
	Version  string           `json:"version,omitempty"`
}

// TaskState is the state of a task.
type TaskState struct {
	ID int `json:"id"`
	State
}

// StateInfo is the state of a connector and its tasks.
type StateInfo struct {
	Name      string                `json:"name"`
	Connector State                 `json:"connector"`
	Tasks     []TaskState           `json:"tasks"`
	Type      cluster.ConnectorType `json:"type"`
}

// TopicsInfo lists the topics that a connector has used.
type TopicsInfo struct {
	Topics []string `json:"topics"`
}

// OffsetsInfo lists a connector's offsets.
type OffsetsInfo struct {
	Offsets []OffsetInfo `json:"offsets"`
}

// OffsetInfo is a partition with its offset, both JSON objects.
type OffsetInfo struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

// Message is an answer for people.
type Message struct {
	Message string `json:"message"`
}

// PluginInfo is one plugin of a list.
type PluginInfo struct {
	Class   string `json:"class"`
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
}

// InfoOf shows a connector's configuration and tasks.
func InfoOf(v cluster.ConnectorView) ConnectorInfo {
	i := ConnectorInfo{Name: v.Name, Config: v.Config, Tasks: make([]TaskID, len(v.Tasks)), Type: v.Type, Ref: v.Ref()}
	for k, t := range v.Tasks {
		i.Tasks[k] = TaskID{Connector: v.Name, Task: t.Task}
	}
	return i
}

func stateOf(s cluster.ShownState) State {
	return State{State: s.State, WorkerID: s.WorkerID, Trace: s.Trace, Version: s.Version}
}

// statusOf is a connector's state; false before anything was reported.
func statusOf(v cluster.ConnectorView) (StateInfo, bool) {
	if v.Status == nil {
		return StateInfo{}, false
	}
	i := StateInfo{Name: v.Name, Connector: stateOf(v.Status.Shown()), Tasks: make([]TaskState, len(v.TaskStatuses)), Type: v.Type}
	if v.Deleted {
		i.Type = cluster.TypeUnknown // as Kafka Connect shows what is on its way out
	}
	for k, s := range v.TaskStatuses {
		i.Tasks[k] = TaskState{ID: s.Job.Task, State: stateOf(s.Shown())}
	}
	return i, true
}
