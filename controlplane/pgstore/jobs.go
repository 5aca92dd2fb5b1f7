package pgstore

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// jobRow is a job with the status last stored for it; the S fields are nil when there is none.
type jobRow struct {
	UID        string
	Task       int
	Wanted     bool
	Gone       bool
	Revision   int64
	RestartSeq int64
	TaskConfig *string
	Session    *string
	Epoch      int64
	Releasing  bool

	SSession    *string
	SEpoch      *int64
	SRevision   *int64
	SRestartSeq *int64
	SState      *string
	SWorkerID   *string
	STrace      *string
	SVersion    *string
	SReleased   *bool
	SReason     *string
}

func (j *jobRow) id() cluster.JobID { return cluster.JobID{UID: cluster.UID(j.UID), Task: j.Task} }

// held tells whether the session owns the job under the epoch (Invariant 3).
func (j *jobRow) held(session cluster.SessionID, epoch cluster.Epoch) bool {
	return j.Session != nil && *j.Session == string(session) && j.Epoch == int64(epoch)
}

// told says whether the holder should run the job, so that it must hear of changes.
func (j *jobRow) told() bool { return j.Wanted && j.Session != nil && !j.Releasing }

// unwant ends what is wanted of a job. One that never had an owner has nothing to wait for.
func (j *jobRow) unwant() {
	j.Wanted, j.TaskConfig = false, nil
	j.Gone = j.Gone || j.Epoch == 0
}

// status is what was last stored, nil if nothing.
func (j *jobRow) status() *cluster.Status {
	if j.SState == nil {
		return nil
	}
	return &cluster.Status{Job: j.id(), Session: cluster.SessionID(*j.SSession), Epoch: cluster.Epoch(*j.SEpoch), Revision: cluster.Revision(*j.SRevision),
		RestartSeq: *j.SRestartSeq, State: cluster.State(*j.SState), WorkerID: cluster.RunnerID(*j.SWorkerID), Trace: *j.STrace,
		Version: *j.SVersion, Released: *j.SReleased, Reason: *j.SReason}
}

// shown is the status as readers see it: RESTARTING between a restart request and the first report that knows of it. That
// is worked out here and not stored, so that no late report can undo it.
func (j *jobRow) shown() *cluster.Status { return j.show(j.status()) }

// show is how readers see a status of the job.
func (j *jobRow) show(s *cluster.Status) *cluster.Status {
	if s == nil || !restarting(j.Wanted, j.RestartSeq, s.RestartSeq, s.State) {
		return s
	}
	again := *s
	again.State = cluster.StateRestarting
	return &again
}

// restarting tells whether a restart was asked for that the last report does not know of.
func restarting(wanted bool, seq, told int64, state cluster.State) bool {
	return wanted && told < seq && state != cluster.StateUnassigned
}

func (j *jobRow) shownState() cluster.State {
	if s := j.shown(); s != nil {
		return s.State
	}
	return ""
}

func (j *jobRow) restartInFlight() bool {
	return j.RestartSeq > 0 && (j.SRestartSeq == nil || *j.SRestartSeq < j.RestartSeq)
}

// spec is what the job's holder must know.
func (j *jobRow) spec(c *connectorRow) (cluster.JobSpec, error) {
	config, err := decodeConfig(c.Config)
	if err != nil {
		return cluster.JobSpec{}, err
	}
	s := cluster.JobSpec{Job: j.id(), Name: c.Name, Type: cluster.ConnectorType(c.Type), Class: c.Class, Epoch: cluster.Epoch(j.Epoch),
		Revision: cluster.Revision(j.Revision), ConfigVersion: c.ConfigVersion, Config: config, Target: cluster.TargetState(c.Target),
		RestartSeq: j.RestartSeq}
	if j.Session != nil {
		s.Session = cluster.SessionID(*j.Session)
	}
	if j.Task >= 0 {
		s.TaskCount, s.TopicResets = c.TaskCount, c.TopicResets
		if j.TaskConfig != nil {
			s.TaskConfig, err = decodeConfig(*j.TaskConfig)
		}
	}
	return s, err
}

// view is the connector as readers see it.
func (c *connector) view() (cluster.ConnectorView, error) {
	p, err := c.connector(c.instance().RestartSeq)
	if err != nil {
		return cluster.ConnectorView{}, err
	}
	v := cluster.ConnectorView{Connector: p, Status: c.instance().shown()}
	for i := range c.Jobs[1:] {
		j := &c.Jobs[1+i]
		if j.Wanted && j.TaskConfig != nil {
			config, err := decodeConfig(*j.TaskConfig)
			if err != nil {
				return v, err
			}
			v.Tasks = append(v.Tasks, cluster.TaskConfig{Task: j.Task, Config: config, Revision: cluster.Revision(j.Revision), RestartSeq: j.RestartSeq})
		}
		if s := j.shown(); s != nil {
			v.TaskStatuses = append(v.TaskStatuses, *s)
		}
	}
	return v, nil
}

func sortBy[T any, K cmp.Ordered](all []T, key func(T) K) {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}
