package connectorjob

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
)

// checkCount refuses more tasks than tasks.max, in Kafka Connect's words, unless tasks.max.enforce is off.
func checkCount(name string, config map[string]string, n, most int, log *slog.Logger) error {
	if n <= most {
		return nil
	}
	if strings.EqualFold(config["tasks.max.enforce"], "false") {
		log.Warn("connector makes more tasks than tasks.max, which tasks.max.enforce=false allows", slog.Int("tasks", n), slog.Int("tasks_max", most))
		return nil
	}
	return connecterr.New(connecterr.TooManyTasks, "The connector %s has generated %d tasks, which is greater than %d, the maximum number of tasks it is configured to create. "+
		"This behaviour should be considered a bug and is disallowed. If necessary, it can be permitted by reconfiguring the connector with "+
		"'tasks.max.enforce' set to false; however, this option will be removed in a future release of Kafka Connect.", name, n, most)
}

// minSecret is the least length of a value that is looked for under other keys: shorter ones are equal by chance.
const minSecret = 6

// taskConfig is a plugin's task config as it is stored: with the task's class and the connector's topics, and without what
// the connector's references stand for (S1). A key of the connector's whose value has references gets its reference back,
// whatever the plugin made of it, as in Kafka Connect; so does another key that holds such a value as it is.
func taskConfig(c map[string]string, taskClass string, raw cluster.Config, resolved map[string]string) cluster.Config {
	refs := map[string]string{} // by what they stand for
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		if ref, ok := raw.Get(k); ok && ref != resolved[k] && len(resolved[k]) >= minSecret {
			refs[resolved[k]] = ref
		}
	}
	out := make(cluster.Config, len(c)+2)
	for k, v := range c {
		if ref, ok := raw.Get(k); ok && ref != resolved[k] {
			v = ref
		} else if ref, ok := refs[v]; ok {
			v = ref
		}
		out[k] = &v
	}
	out["task.class"] = &taskClass
	for _, k := range []string{"topics", "topics.regex"} {
		if v, ok := raw.Get(k); ok {
			out[k] = &v
		}
	}
	return out
}
