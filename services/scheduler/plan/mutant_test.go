package plan

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

// TestMutantsAreCaught breaks the planner on purpose, one rule at a time: a property that no mutant fails proves nothing.
func TestMutantsAreCaught(t *testing.T) {
	t.Parallel()
	tests := map[string]mutation{
		"hands out an epoch twice":             {sameEpoch: true},
		"ignores the epoch floor":              {ignoreFloor: true},
		"assigns to suspects":                  {assignToSuspect: true},
		"assigns to draining runners":          {assignToDraining: true},
		"ignores the plugin":                   {ignorePlugin: true},
		"ignores the pool":                     {ignorePool: true},
		"ignores the room":                     {ignoreRoom: true},
		"forgets what this round has assigned": {ignoreRoomReserved: true},
		"starts unfenced jobs beside a holder": {stealUnfenced: true},
		"does not hold in a mass loss":         {noHold: true},
		"moves without a bound":                {noBudget: true},
		"moves healthy jobs":                   {shuffleHealthy: true},
		"leaves unwanted jobs running":         {keepUnwanted: true},
		"forgets jobs that are held":           {forgetHeld: true},
		"depends on the order of its input":    {keepInputOrder: true},
		"sorts its caller's slice":             {sortInput: true},
		"never gives a session up":             {loseNobody: true},
		"never rebalances":                     {noRebalance: true},
		"does not say why a job does not run":  {silentWaiting: true},
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutant := func(cfg Config, s cluster.Snapshot) cluster.Decisions { return compute(cfg, s, m) }
			caught := 0
			for seed := range 400 {
				gen := genSnapshot
				if seed%4 == 0 {
					gen = genUneven
				}
				s := rapid.Custom(gen).Example(seed)
				if checkRound(testConfig(), s, mutant) != nil || settle(testConfig(), s, mutant) != nil {
					caught++
				}
			}
			require.Positive(t, caught, "no property noticed in 400 random worlds")
			t.Logf("caught in %d of 400 random worlds", caught)
		})
	}
}
