package connectorjob

import (
	"log/slog"
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
	return connecterr.New(connecterr.General, "The connector %s has generated %d tasks, which is greater than %d, the maximum number of tasks it is configured to create. "+
		"This behaviour should be considered a bug and is disallowed. If necessary, it can be permitted by reconfiguring the connector with "+
		"'tasks.max.enforce' set to false; however, this option will be removed in a future release of Kafka Connect.", name, n, most)
}

// taskConfig is a plugin's task config as it is stored: with the task's class and the connector's topics, and with every
// value that came from a reference replaced by that reference, so that no secret is stored (S1).
func taskConfig(c map[string]string, taskClass string, raw cluster.Config, resolved map[string]string) cluster.Config {
	out := make(cluster.Config, len(c)+2)
	for k, v := range c {
		if ref, ok := raw.Get(k); ok && ref != v && resolved[k] == v {
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
