"""The life cycle of a connector with kafka-connect-api."""

from kafka_connect_api.errors import ConnectApiException, GenericConflict, GenericNotFound
from kafka_connect_api.kafka_connect_api import Api, Cluster, Connector

from steps import arguments, done, equal, raises, source, until

url, name, file, topic = arguments()
api = Api(url=url)
cluster = Cluster(api)
config = source(file, topic, name=name)

equal(bool(cluster.version), True)
until("the id of the Kafka cluster", True, lambda: bool(cluster.kafka_cluster))
done("version")

connector = Connector(cluster, name)
raises(GenericNotFound, connector.exists)
raises(GenericNotFound, lambda: connector.status)
raises(GenericNotFound, connector.pause)
raises(GenericNotFound, connector.delete)
done("unknown")

connector.config = config  # its way to make one
equal(connector.config, config)
done("create")

equal(raises(GenericConflict, lambda: api.post_raw("/connectors", json={"name": name, "config": config})).code, 409)
done("create twice")

equal(raises(ConnectApiException, lambda: api.put_raw("/connectors/%s/config" % name, json=dict(config, **{"tasks.max": "none"}))).code, 400)
done("create wrongly")

equal((connector.exists(), cluster.connectors[name].connector_class), (True, "FileStreamSource"))
done("list")


def states():
    try:
        status = connector.status
    except GenericNotFound:  # as in Kafka Connect, there is no status until the connector runs somewhere
        return None
    return status["connector"]["state"], [task["state"] for task in status["tasks"]]


running, paused = ("RUNNING", ["RUNNING"]), ("PAUSED", ["PAUSED"])
until("status", running, states)
equal(connector.state, "RUNNING")
done("status")

task, = connector.tasks
equal((task.id, task.config["topic"]), (0, topic))
done("tasks")

until("status of the task", True, task.is_running)
done("task status")

connector.config = dict(config, **{"batch.size": "100"})
equal(connector.config["batch.size"], "100")
until("status after the change", running, states)
done("update")

connector.pause()
until("status", paused, states)
done("pause")

connector.resume()
until("status", running, states)
done("resume")

connector.restart()
until("status", running, states)
done("restart")

connector.restart_all_tasks()
until("status", running, states)
done("restart a task")

connector.cycle_connector()
until("status", running, states)
done("cycle")

level = cluster.root_logger["level"]
cluster.root_logger = "DEBUG"
equal(cluster.root_logger["level"], "DEBUG")
equal("root" in cluster.set_logger_log_level("root", level), True)
equal(cluster.loggers["root"]["level"], level)
done("loggers")

connector.delete()
until("connectors", False, lambda: name in cluster.connectors)
raises(GenericNotFound, connector.exists)
done("delete")
