package registry

import "github.com/millrace/millrace/sdk/config"

// The names of keys that messages or code need more than once.
const (
	keyURL        = "schema.registry.url"
	keyBasic      = "basic.auth.credentials.source"
	keyUserInfo   = "basic.auth.user.info"
	keyBearer     = "bearer.auth.credentials.source"
	keyToken      = "bearer.auth.token" //nolint:gosec // the key's name
	keyJaas       = "sasl.jaas.config"
	keyLatest     = "use.latest.version"
	keySchemaID   = "use.schema.id"
	keyRegister   = "auto.register.schemas"
	keyConvertKey = "converter.type"
	prefix        = "schema.registry."
)

// The strategies that name subjects.
const (
	topicName       = "io.confluent.kafka.serializers.subject.TopicNameStrategy"
	recordName      = "io.confluent.kafka.serializers.subject.RecordNameStrategy"
	topicRecordName = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy"
)

// Flag is a key of a converter's own that is true or false.
func Flag(name, def, doc string) config.Key {
	return config.Key{Name: name, Type: config.Boolean, Default: config.Default(def), Importance: config.Low, Doc: doc}
}

// Keys are the keys of every converter over a registry; their names are Confluent's.
func Keys() []config.Key {
	keys := []config.Key{
		{Name: keyConvertKey, Type: config.String, Required: true, Importance: config.Low, Doc: "What it converts: key or value.",
			Validators: []config.Rule{config.OneOf("key", "value", "header")}},
		{Name: keyURL, Type: config.List, Required: true, Importance: config.High, Validators: []config.Rule{config.SomeList()},
			Doc: "Addresses of the schema registry; the next one is asked where one does not answer. mock://NAME is a registry inside the process, for trials."},
		{Name: keyRegister, Type: config.Boolean, Default: config.Default("true"), Importance: config.Medium, Doc: "Register the schemas of records that are written. If not, they must be there."},
		{Name: keyLatest, Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Doc: "Write by the latest schema of the subject; only without auto.register.schemas."},
		{Name: "latest.compatibility.strict", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low,
			Doc: "With use.latest.version: refuse records whose schema has what the latest has no place for."},
		{Name: "latest.cache.ttl.sec", Type: config.Int, Default: config.Default("-1"), Importance: config.Low, Doc: "For how many seconds the latest schema is remembered; -1 is for good."},
		{Name: keySchemaID, Type: config.Int, Default: config.Default("-1"), Importance: config.Low, Doc: "Write by the schema with this id; only without auto.register.schemas."},
		{Name: "id.compatibility.strict", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low, Doc: "With use.schema.id: refuse records whose schema has what that one has no place for."},
		{Name: "normalize.schemas", Type: config.Boolean, Default: config.Default("false"), Importance: config.Medium, Doc: "Let the registry compare schemas in their normal form."},
		{Name: "max.schemas.per.subject", Type: config.Int, Default: config.Default("1000"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(1)}, Doc: "How many registered schemas are remembered."},
		{Name: "schemas.cache.config", Type: config.Int, Default: config.Default("1000"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(1)}, Doc: "How many converted schemas are remembered."},
		{Name: "key.subject.name.strategy", Type: config.Class, Default: config.Default(topicName), Importance: config.Medium, Doc: "How the subject of keys is named: " + strategies},
		{Name: "value.subject.name.strategy", Type: config.Class, Default: config.Default(topicName), Importance: config.Medium, Doc: "How the subject of values is named: " + strategies},
		{Name: keyBasic, Type: config.String, Importance: config.Medium, Validators: nil, Doc: "Where user and password come from: URL, USER_INFO or SASL_INHERIT. Not set: the address, if they are in it."},
		{Name: keyUserInfo, Type: config.Password, Importance: config.Medium, Doc: "user:password, for USER_INFO."},
		{Name: prefix + keyBasic, Type: config.String, Importance: config.Low, Doc: "The same as " + keyBasic + "."},
		{Name: prefix + keyUserInfo, Type: config.Password, Importance: config.Low, Doc: "The same as " + keyUserInfo + "."},
		{Name: keyJaas, Type: config.Password, Importance: config.Low, Doc: "A Kafka client's login, whose user name and password SASL_INHERIT uses."},
		{Name: keyBearer, Type: config.String, Importance: config.Medium, Doc: "Where a bearer token comes from: STATIC_TOKEN."},
		{Name: keyToken, Type: config.Password, Importance: config.Medium, Doc: "The token, for STATIC_TOKEN."},
		{Name: "bearer.auth.logical.cluster", Type: config.String, Importance: config.Low, Doc: "Sent with a token as target-sr-cluster."},
		{Name: "bearer.auth.identity.pool.id", Type: config.String, Importance: config.Low, Doc: "Sent with a token as Confluent-Identity-Pool-Id."},
		{Name: "http.connect.timeout.ms", Type: config.Int, Default: config.Default("60000"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(1)}, Doc: "How long a connection may take."},
		{Name: "http.read.timeout.ms", Type: config.Int, Default: config.Default("60000"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(1)}, Doc: "How long an answer may take."},
		{Name: "max.retries", Type: config.Int, Default: config.Default("3"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(0)}, Doc: "How often a request is repeated that no address answered."},
		{Name: "retries.wait.ms", Type: config.Int, Default: config.Default("1000"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(0)}, Doc: "The pause before the first repetition; it doubles."},
		{Name: "retries.max.wait.ms", Type: config.Int, Default: config.Default("20000"), Importance: config.Low, Validators: []config.Rule{config.AtLeast(0)}, Doc: "The longest pause."},
		{Name: "schema.registry.url.randomize", Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Doc: "Begin with any of the addresses, not with the first."},
		{Name: "proxy.host", Type: config.String, Default: config.Default(""), Importance: config.Low, Doc: "Host of a proxy on the way to the registry."},
		{Name: "proxy.port", Type: config.Int, Default: config.Default("-1"), Importance: config.Low, Doc: "Port of that proxy."},
	}
	return append(keys, sslKeys()...)
}

const strategies = topicName + ", …RecordNameStrategy or …TopicRecordNameStrategy."

func sslKeys() []config.Key {
	ssl := func(name string, t config.Type, def *string, doc string) config.Key {
		return config.Key{Name: prefix + "ssl." + name, Type: t, Default: def, Importance: config.Low, Doc: doc}
	}
	return []config.Key{
		ssl("truststore.location", config.String, nil, "File of the authorities that the registry's certificate must come from: JKS, PKCS12 or PEM."),
		ssl("truststore.password", config.Password, nil, "Its password."),
		ssl("truststore.type", config.String, nil, "Its type; what is in the file counts more."),
		ssl("truststore.certificates", config.Password, nil, "The authorities themselves, as PEM."),
		ssl("keystore.location", config.String, nil, "File of the certificate and key that are shown to the registry: JKS, PKCS12 or PEM."),
		ssl("keystore.password", config.Password, nil, "Its password."),
		ssl("keystore.type", config.String, nil, "Its type; what is in the file counts more."),
		ssl("keystore.certificate.chain", config.Password, nil, "The certificate itself, as PEM."),
		ssl("keystore.key", config.Password, nil, "Its key, as PEM."),
		ssl("key.password", config.Password, nil, "Password of the key, where it has one of its own."),
		ssl("enabled.protocols", config.List, config.Default("TLSv1.2,TLSv1.3"), "Versions of TLS that are used."),
		ssl("endpoint.identification.algorithm", config.String, config.Default("https"), "https compares the registry's name with its certificate; blank does not."),
	}
}
