package scripted;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

/** Produces the records that a file lists, one JSON object a line; it is the Java twin of the Go source of the same name. */
public class ScriptedSource extends SourceConnector {
    private Map<String, String> props;

    @Override public String version() { return "1"; }
    @Override public void start(Map<String, String> props) { this.props = props; }
    @Override public void stop() { }
    @Override public Class<? extends Task> taskClass() { return ScriptedTask.class; }
    @Override public List<Map<String, String>> taskConfigs(int max) { return List.of(props); }
    @Override public ConfigDef config() {
        return new ConfigDef()
            .define("file", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "the script")
            .define("topic", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "where to");
    }

    public static class ScriptedTask extends SourceTask {
        private final JsonConverter json = new JsonConverter();
        private final ObjectMapper mapper = new ObjectMapper();
        private List<String> lines;
        private String topic;
        private int at;

        @Override public String version() { return "1"; }
        @Override public void stop() { }

        @Override public void start(Map<String, String> props) {
            json.configure(Map.of("schemas.enable", "true"), false);
            topic = props.get("topic");
            try {
                lines = Files.readAllLines(Path.of(props.get("file")));
            } catch (IOException e) {
                throw new ConnectException(e);
            }
        }

        @Override public List<SourceRecord> poll() throws InterruptedException {
            if (at == lines.size()) {
                Thread.sleep(200);
                return null;
            }
            List<SourceRecord> out = new ArrayList<>();
            try {
                while (at < lines.size() && out.size() < 100) {
                    JsonNode r = mapper.readTree(lines.get(at++));
                    ConnectHeaders headers = new ConnectHeaders();
                    for (JsonNode h : r.get("headers")) {
                        headers.add(h.get("key").asText(), of(h.get("value")));
                    }
                    SchemaAndValue key = of(r.get("key"));
                    SchemaAndValue value = of(r.get("value"));
                    out.add(new SourceRecord(Map.of("script", "1"), Map.of("line", (long) at), topic, null,
                        key.schema(), key.value(), value.schema(), value.value(), r.get("timestamp").asLong(), headers));
                }
            } catch (IOException e) {
                throw new ConnectException(e);
            }
            return out;
        }

        /** The value of an envelope with schema and payload; null is no value without a schema. */
        private SchemaAndValue of(JsonNode envelope) throws IOException {
            return envelope.isNull() ? SchemaAndValue.NULL : json.toConnectData(topic, mapper.writeValueAsBytes(envelope));
        }
    }
}
