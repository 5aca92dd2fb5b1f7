import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.stream.Collectors;

import org.sourcelab.kafka.connect.apiclient.Configuration;
import org.sourcelab.kafka.connect.apiclient.KafkaConnectClient;
import org.sourcelab.kafka.connect.apiclient.request.dto.ConnectorPluginConfigDefinition;
import org.sourcelab.kafka.connect.apiclient.request.dto.NewConnectorDefinition;
import org.sourcelab.kafka.connect.apiclient.request.post.PostConnectorRestart;
import org.sourcelab.kafka.connect.apiclient.rest.exceptions.ConcurrentConfigModificationException;
import org.sourcelab.kafka.connect.apiclient.rest.exceptions.InvalidRequestException;
import org.sourcelab.kafka.connect.apiclient.rest.exceptions.ResourceNotFoundException;

/** The life cycle of a connector with org.sourcelab:kafka-connect-client. */
public final class Lifecycle {
    private static final long DEADLINE = 120_000; // the machine may be busy

    private final KafkaConnectClient client;
    private final String name;
    private final String file;
    private final String topic;

    private Lifecycle(String url, String name, String file, String topic) {
        this.client = new KafkaConnectClient(new Configuration(url));
        this.name = name;
        this.file = file;
        this.topic = topic;
    }

    public static void main(String[] args) {
        if (args.length != 4) {
            System.err.println("usage: Lifecycle URL NAME FILE TOPIC");
            System.exit(2);
        }
        new Lifecycle(args[0], args[1], args[2], args[3]).run();
    }

    private void run() {
        equal(client.getConnectServerVersion().getVersion().isEmpty(), false);
        done("version");
        equal(client.getConnectorPlugins().stream().filter(p -> p.getClassName().equals("org.apache.kafka.connect.file.FileStreamSourceConnector"))
            .map(p -> p.getType()).collect(Collectors.toList()), List.of("source"));
        done("plugins");
        Map<String, String> config = config();
        equal(errors(config), List.of());
        Map<String, String> wrong = with(config, "tasks.max", "none");
        equal(errors(wrong), List.of("tasks.max"));
        done("validate");

        equal(client.addConnector(definition(name, config)).getConfig(), config);
        done("create");
        // The library has one exception for all conflicts.
        String conflict = thrown(ConcurrentConfigModificationException.class, () -> client.addConnector(definition(name, config))).getMessage();
        equal(conflict.contains("already exists"), true);
        done("create twice");
        equal(thrown(InvalidRequestException.class, () -> client.addConnector(definition(name + "-wrong", with(wrong, "name", name + "-wrong")))).getErrorCode(), 400);
        done("create wrongly");
        await("RUNNING [RUNNING]");
        done("status");

        equal(client.getConnectors().contains(name), true);
        done("list");
        equal(client.getConnectorsWithExpandedInfo().getDefinitionForConnector(name).getConfig(), config);
        equal(client.getConnectorsWithExpandedStatus().getStatusForConnector(name).getConnector().get("state"), "RUNNING");
        equal(client.getConnectorsWithAllExpandedMetadata().getDefinitionForConnector(name).getType(), "source");
        equal(client.getConnectorsWithAllExpandedMetadata().getStatusForConnector(name).getTasks().size(), 1);
        done("expand");
        equal(client.getConnector(name).getTasks().size(), 1);
        done("get");
        equal(client.getConnectorConfig(name), config);
        done("config");
        equal(client.getConnectorTasks(name).stream().map(t -> t.getConfig().get("topic")).collect(Collectors.toList()), List.of(topic));
        done("tasks");
        equal(client.getConnectorTaskStatus(name, 0).getState(), "RUNNING");
        done("task status");
        await("topics", List.of(topic), () -> client.getConnectorTopics(name).getTopics());
        equal(client.resetConnectorTopics(name), true);
        done("topics");

        Map<String, String> changed = with(config, "batch.size", "100");
        equal(client.updateConnectorConfig(name, changed).getConfig(), changed);
        equal(client.getConnectorConfig(name), changed);
        await("RUNNING [RUNNING]");
        done("update");
        equal(client.pauseConnector(name), true);
        await("PAUSED [PAUSED]");
        done("pause");
        equal(client.resumeConnector(name), true);
        await("RUNNING [RUNNING]");
        done("resume");
        equal(client.restartConnector(name), true);
        await("RUNNING [RUNNING]");
        done("restart");
        equal(client.restartConnector(new PostConnectorRestart(name).withIncludeTasks(true)), true);
        await("RUNNING [RUNNING]");
        done("restart with tasks");
        equal(client.restartConnectorTask(name, 0), true);
        await("RUNNING [RUNNING]");
        thrown(ResourceNotFoundException.class, () -> client.restartConnectorTask(name, 7));
        done("restart a task");

        String unknown = name + "-unknown";
        List<Supplier<Object>> calls = List.of(() -> client.getConnector(unknown), () -> client.getConnectorConfig(unknown), () -> client.getConnectorStatus(unknown),
            () -> client.getConnectorTasks(unknown), () -> client.pauseConnector(unknown), () -> client.resumeConnector(unknown),
            () -> client.restartConnector(unknown), () -> client.deleteConnector(unknown));
        for (Supplier<Object> call : calls) {
            thrown(ResourceNotFoundException.class, call);
        }
        done("unknown");
        equal(client.deleteConnector(name), true);
        await("connectors", false, () -> client.getConnectors().contains(name));
        thrown(ResourceNotFoundException.class, () -> client.getConnector(name));
        done("delete");
    }

    private Map<String, String> config() {
        String converter = "org.apache.kafka.connect.storage.StringConverter";
        return new HashMap<>(Map.of("name", name, "connector.class", "FileStreamSource", "tasks.max", "1", "file", file, "topic", topic,
            "key.converter", converter, "value.converter", converter));
    }

    private static Map<String, String> with(Map<String, String> config, String key, String value) {
        Map<String, String> changed = new HashMap<>(config);
        changed.put(key, value);
        return changed;
    }

    private static NewConnectorDefinition definition(String name, Map<String, String> config) {
        return NewConnectorDefinition.newBuilder().withName(name).withConfig(config).build();
    }

    private List<String> errors(Map<String, String> config) {
        return client.validateConnectorPluginConfig(ConnectorPluginConfigDefinition.newBuilder().withName("FileStreamSource").withConfig(config).build())
            .getConfigs().stream().filter(c -> !c.getValue().getErrors().isEmpty()).map(c -> c.getValue().getName()).collect(Collectors.toList());
    }

    private void await(String states) {
        await("status", states, () -> {
            try {
                var status = client.getConnectorStatus(name);
                return status.getConnector().get("state") + " " + status.getTasks().stream().map(t -> t.getState()).collect(Collectors.toList());
            } catch (ResourceNotFoundException e) { // as in Kafka Connect, there is no status until the connector runs somewhere
                return null;
            }
        });
    }

    /** Asks until the answer is what is wanted. */
    private static void await(String what, Object want, Supplier<Object> ask) {
        long end = System.currentTimeMillis() + DEADLINE;
        for (;;) {
            Object got = ask.get();
            if (Objects.equals(got, want)) {
                return;
            }
            if (System.currentTimeMillis() > end) {
                throw new AssertionError(what + ": still " + got + ", want " + want);
            }
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static void equal(Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    private static <E extends RuntimeException> E thrown(Class<E> kind, Supplier<Object> call) {
        Object got;
        try {
            got = call.get();
        } catch (RuntimeException e) {
            if (kind.isInstance(e)) {
                return kind.cast(e);
            }
            throw e;
        }
        throw new AssertionError("got " + got + ", want a " + kind.getSimpleName());
    }

    /** Tells the test that a step is done and was as expected. */
    private static void done(String step) {
        System.out.println("done: " + step);
    }
}
