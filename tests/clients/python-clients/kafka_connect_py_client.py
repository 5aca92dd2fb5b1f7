"""The life cycle of a connector with kafka-connect-py."""

from kafka_connect import KafkaConnect
from requests.exceptions import HTTPError

from steps import arguments, done, equal, raises, source, until

url, name, file, topic = arguments()
connect = KafkaConnect(url=url)
config = source(file, topic)


def fails(status, text, call, *arguments):
    response = raises(HTTPError, call, *arguments).response
    equal(response.status_code, status)
    body = response.json()
    equal(body["error_code"], status)
    if text not in body["message"]:
        raise AssertionError("%r is not in %r" % (text, body["message"]))


def states():
    try:
        status = connect.get_connector_status(name)
    except HTTPError as error:  # as in Kafka Connect, there is no status until the connector runs somewhere
        equal(error.response.status_code, 404)
        return None
    return status["connector"]["state"], [task["state"] for task in status["tasks"]]


running, paused, stopped = ("RUNNING", ["RUNNING"]), ("PAUSED", ["PAUSED"]), ("STOPPED", [])

info = connect.get_cluster_info()
equal(sorted(info), ["commit", "kafka_cluster_id", "version"])
done("version")

plugins = {plugin["class"]: plugin for plugin in connect.list_connector_plugins()}
equal(plugins["org.apache.kafka.connect.file.FileStreamSourceConnector"]["type"], "source")
done("plugins")

equal(connect.validate_connector_config("FileStreamSource", dict(config, name=name))["error_count"], 0)
wrong = connect.validate_connector_config("FileStreamSource", dict(config, name=name, **{"tasks.max": "none"}))
equal([c["value"]["name"] for c in wrong["configs"] if c["value"]["errors"]], ["tasks.max"])
done("validate")

made = connect.create_connector({"name": name, "config": config})
config["name"] = name
equal((made["name"], made["type"], made["config"]), (name, "source", config))
done("create")

fails(409, "already exists", connect.create_connector, {"name": name, "config": config})
done("create twice")

fails(400, "contains the following", connect.create_connector, {"name": name + "-wrong", "config": dict(config, name=name + "-wrong", **{"tasks.max": "none"})})
done("create wrongly")

until("status", running, states)
done("status")

if name not in connect.list_connectors():
    raise AssertionError("not listed")
equal(list(connect.list_connectors(pattern="^%s$" % name)), [name])
done("list")

equal(connect.list_connectors(expand="info")[name]["info"]["config"], config)
equal(connect.list_connectors(expand="status", state="RUNNING")[name]["status"]["tasks"][0]["id"], 0)
done("expand")

equal(connect.get_connector(name)["tasks"], [{"connector": name, "task": 0}])
done("get")

equal(connect.get_connector_config(name), config)
done("config")

task, = connect.list_connector_tasks(name)
equal((task["id"], task["config"]["file"]), ({"connector": name, "task": 0}, file))
done("tasks")

equal(connect.get_connector_task_status(name, 0)["state"], "RUNNING")
done("task status")

until("topics", {name: {"topics": [topic]}}, lambda: connect.list_connector_topics(name))
connect.reset_connector_topics(name)
done("topics")

changed = dict(config, **{"batch.size": "100"})
equal(connect.update_connector(name, changed)["config"], changed)
equal(connect.get_connector_config(name), changed)
until("status after the change", running, states)
done("update")

connect.pause_connector(name)
until("status", paused, states)
done("pause")

connect.resume_connector(name)
until("status", running, states)
done("resume")

connect.stop_connector(name)
until("status", stopped, states)
connect.resume_connector(name)
until("status", running, states)
done("stop")

equal(connect.restart_connector(name), None)
until("status", running, states)
done("restart")

plan = connect.restart_connector(name, include_tasks=True)
equal((plan["name"], plan["connector"]["state"], [task["state"] for task in plan["tasks"]]), (name, "RESTARTING", ["RESTARTING"]))
until("status", running, states)
done("restart with tasks")

connect.restart_connector_task(name, 0)
until("status", running, states)
fails(404, "", connect.restart_connector_task, name, 7)
done("restart a task")

unknown = name + "-unknown"
for call in connect.get_connector, connect.get_connector_config, connect.get_connector_status, connect.list_connector_tasks, connect.pause_connector, connect.resume_connector, connect.stop_connector, connect.delete_connector:
    fails(404, unknown, call, unknown)
raises(HTTPError, connect.restart_connector, unknown)
done("unknown")

connect.delete_connector(name)
until("connectors", False, lambda: name in connect.list_connectors())
fails(404, name, connect.get_connector, name)
done("delete")
