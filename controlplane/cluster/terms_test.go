package cluster_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

func TestPrecondition_is_held_against_one_life_and_one_version(t *testing.T) {
	t.Parallel()
	there := &cluster.Connector{UID: "u", ConfigVersion: 2}
	ref := func(uid cluster.UID, version int64) []cluster.ConfigRef {
		return []cluster.ConfigRef{{UID: uid, Version: version}}
	}
	for name, c := range map[string]struct {
		p             cluster.Precondition
		there, absent bool // it holds
	}{
		"nothing":                     {cluster.Precondition{}, true, true},
		"it exists":                   {cluster.Precondition{Exists: true}, true, false},
		"this version":                {cluster.Precondition{Match: append(ref("v", 1), ref("u", 2)...)}, true, false},
		"an older version":            {cluster.Precondition{Match: ref("u", 1)}, false, false},
		"the version in another life": {cluster.Precondition{Match: ref("v", 2)}, false, false},
		"what nothing can match":      {cluster.Precondition{Match: []cluster.ConfigRef{}}, false, false},
		"it is new":                   {cluster.Precondition{Absent: true}, false, true},
		"not this version":            {cluster.Precondition{Differ: ref("u", 2)}, false, true},
		"not another version":         {cluster.Precondition{Differ: ref("u", 1)}, true, true},
	} {
		for which, holds := range map[*cluster.Connector]bool{there: c.there, nil: c.absent} {
			err := c.p.Check("c", which)
			require.Equal(t, holds, err == nil, "%s: %v", name, err)
			if err != nil {
				require.True(t, cluster.Is(err, cluster.PreconditionFailed), name)
				require.ErrorContains(t, err, "Connector c ", name)
			}
		}
		require.Equal(t, name == "nothing", c.p.IsZero(), name)
	}
}

func TestOnce_tells_a_repetition_from_another_request(t *testing.T) {
	t.Parallel()
	o := cluster.Once{Key: "k", Digest: [32]byte{1}}
	kept := cluster.KeyRecord{Digest: o.Digest, Answer: cluster.Answer{Status: 201}}
	for name, c := range map[string]struct {
		change func(*cluster.KeyRecord)
		code   cluster.Code // "": recorded
	}{
		"the same":                        {func(*cluster.KeyRecord) {}, ""},
		"almost forgotten":                {func(k *cluster.KeyRecord) { k.Age = cluster.KeyLife - 1 }, ""},
		"another":                         {func(k *cluster.KeyRecord) { k.Digest[31] = 1 }, cluster.KeyReused},
		"somebody waits":                  {func(k *cluster.KeyRecord) { k.Pending = true }, cluster.InProgress},
		"another while somebody waits":    {func(k *cluster.KeyRecord) { k.Pending, k.Digest = true, [32]byte{} }, cluster.KeyReused},
		"nobody lives to answer any more": {func(k *cluster.KeyRecord) { k.Pending, k.Age = true, cluster.PendingTime }, ""},
	} {
		k := kept
		c.change(&k)
		err := o.Check(&k)
		if c.code != "" {
			require.True(t, cluster.Is(err, c.code), "%s: %v", name, err)
			continue
		}
		var was *cluster.Recorded
		require.ErrorAs(t, err, &was, name)
		require.Equal(t, 201, was.Answer.Status)
	}
	require.NoError(t, o.Check(nil))
	kept.Age = 24 * time.Hour
	require.NoError(t, o.Check(&kept), "forgotten")
}
