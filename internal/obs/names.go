package obs

// The names of our components' loggers. Where Kafka Connect has a component that does the same work, its name is used, so
// that what people set on a Kafka Connect worker has the effect they expect; the rest is below "millrace". A connector's
// own lines have the name of its class.
const (
	LogRest         = "org.apache.kafka.connect.runtime.rest.RestServer"
	LogHerder       = "org.apache.kafka.connect.runtime.distributed.DistributedHerder"
	LogWorker       = "org.apache.kafka.connect.runtime.Worker"
	LogConnector    = "org.apache.kafka.connect.runtime.WorkerConnector"
	LogSinkTask     = "org.apache.kafka.connect.runtime.WorkerSinkTask"
	LogSourceTask   = "org.apache.kafka.connect.runtime.WorkerSourceTask"
	LogExactlyOnce  = "org.apache.kafka.connect.runtime.ExactlyOnceWorkerSourceTask"
	LogErrors       = "org.apache.kafka.connect.runtime.errors.LogReporter"
	LogOffsets      = "org.apache.kafka.connect.storage.KafkaOffsetBackingStore"
	LogConsumer     = "org.apache.kafka.clients.consumer.KafkaConsumer"
	LogProducer     = "org.apache.kafka.clients.producer.KafkaProducer"
	LogAdmin        = "org.apache.kafka.clients.admin.KafkaAdminClient"
	LogBus          = "millrace.bus"
	LogLifecycle    = "millrace.lifecycle"
	LogSession      = "millrace.runner.session"
	LogParking      = "millrace.runner.parking"
	LogPlanner      = "millrace.scheduler.loop"
	LogInbox        = "millrace.scheduler.inbox"
	LogRelay        = "millrace.scheduler.relay"
	LogDelivery     = "millrace.scheduler.deliver"
	LogLease        = "millrace.scheduler.lease"
	LogWorkerConfig = "org.apache.kafka.connect.runtime.WorkerConfig"
)

// LoggerNames is the table for the reference page: name, process, what it says.
func LoggerNames() [][3]string {
	return [][3]string{
		{LogRest, "api", "requests that failed, and the listeners"},
		{LogHerder, "api", "what the REST API does with the store and the bus"},
		{LogWorkerConfig, "api, runner", "worker properties that are left out"},
		{LogWorker, "runner", "which connectors and tasks start and stop here"},
		{LogConnector, "runner", "connector instances"},
		{LogSinkTask, "runner", "sink tasks"},
		{LogSourceTask, "runner", "source tasks that write at least once"},
		{LogExactlyOnce, "runner", "source tasks that write in transactions"},
		{LogErrors, "runner", "records that failed, of connectors with errors.log.enable"},
		{LogOffsets, "runner", "the topic of source offsets"},
		{LogConsumer, "runner", "Kafka consumers, with what librdkafka says"},
		{LogProducer, "runner", "Kafka producers"},
		{LogAdmin, "runner", "Kafka admin clients"},
		{LogSession, "runner", "registration and heartbeats"},
		{LogParking, "runner", "the watchers of parked tasks' topics"},
		{LogPlanner, "scheduler", "the leader: who runs what"},
		{LogInbox, "scheduler", "what runners report"},
		{LogRelay, "scheduler", "messages that a crashed process left"},
		{LogDelivery, "scheduler", "messages of a commit"},
		{LogLease, "scheduler", "leadership"},
		{LogBus, "all", "the connection to NATS"},
		{LogLifecycle, "all", "start and stop of the parts"},
	}
}
