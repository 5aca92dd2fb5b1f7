package rest

import (
	"regexp"
	"strings"
)

// The recordings are of Kafka Connect 4.3.1. Where 4.4.0 was asked too and answered otherwise, they have its answer.

// Ours are the rows, as "file id", whose answer differs from Kafka Connect's on purpose, with the reason.
var Ours = map[string]string{
	"create create-46":                        "the class is an abstract helper of Kafka's tests; here there is no such class",
	"create create-48":                        "the class is an interface of Kafka's; here there is no such class",
	"json-bodies json-bodies-2":               "Kafka Connect notices the wrong type before it notices that the text ends",
	"json-bodies json-bodies-69":              "the same",
	"json-bodies json-bodies-139":             "Kafka Connect notices the unknown field before it notices that more follows",
	"offsets offsets-4":                       "the recording caught the task before it paused",
	"offsets offsets-58":                      "whether an offset can be removed that was set in a group which never had members is the broker's to say",
	"offsets offsets-153":                     "our verifiable sink refuses records that are not from a verifiable source",
	"variant-auth variant-auth-8":             "what is not base64 is refused like any wrong credentials",
	"variant-auth variant-auth-15":            "the same",
	"variant-auth variant-auth-18":            "the same",
	"plugins plugins-14":                      "the connector tells its keys here, and that it can deliver exactly once",
	"plugins plugins-80":                      "a class of Java that is no plugin; it is not known here",
	"plugins plugins-81":                      "a class of Java that is no plugin; it is not known here",
	"plugins plugins-82":                      "an abstract helper of Kafka's tests; here there is no such class",
	"plugins plugins-92":                      "a class of Java that is no plugin; it is not known here",
	"plugins plugins-93":                      "a class of Java that is no plugin; it is not known here",
	"validate 169.4":                          "the connector tells its keys here, and that it can deliver exactly once",
	"validate 184.1":                          "login modules that the client can't use are refused",
	"validate 187.6":                          "the messages of one converter come in no order",
	"validate validate-244":                   "Kafka Connect crashes; here null is one more error",
	"validate validate-247":                   "files outside the operator's folders are refused",
	"validate validate-248":                   "files outside the operator's folders are refused",
	"validate validate-249":                   "files outside the operator's folders are refused",
	"validate validate-250":                   "files outside the operator's folders are refused",
	"validate validate-33":                    "the connector tells its keys here, and that it can deliver exactly once",
	"validate validate-384":                   "files outside the operator's folders are refused",
	"validate validate-385":                   "files outside the operator's folders are refused",
	"validate validate-386":                   "files outside the operator's folders are refused",
	"validate validate-387":                   "files outside the operator's folders are refused",
	"validate validate-388":                   "files outside the operator's folders are refused",
	"validate validate-412":                   "Kafka Connect gives up at the expression; here it is one more error",
	"validate validate-425":                   "possessive quantifiers are no part of Go's regular expressions, and a sink could not follow them",
	"validate validate-444":                   "a class of Java that is no plugin; it is not known here",
	"validate validate-668":                   "login modules that the client can't use are refused",
	"validate validate-682":                   "login modules that the client can't use are refused",
	"validate validate-696":                   "what it deletes was made outside the recording",
	"validate validate-79":                    "a class of Java that is no plugin; it is not known here",
	"validate validate-96":                    "a class of Java that is no plugin; it is not known here",
	"variant-providers 169.4":                 "the connector tells its keys here, and that it can deliver exactly once",
	"variant-providers variant-providers-116": "the connector tells its keys here, and that it can deliver exactly once",
	"variant-providers variant-providers-117": "the connector tells its keys here, and that it can deliver exactly once",
	"variant-providers variant-providers-119": "the connector tells its keys here, and that it can deliver exactly once",
	"variant-providers variant-providers-121": "the connector tells its keys here, and that it can deliver exactly once",
	"variant-providers variant-providers-122": "the connector tells its keys here, and that it can deliver exactly once",
	"variant-providers variant-providers-125": "files outside the operator's folders are refused",
	"variant-providers variant-providers-126": "files outside the operator's folders are refused",
	"plugin-removed plugin-removed-11":        "the type is kept with the connector, whoever can run it",
	"plugin-removed plugin-removed-13":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-18":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-19":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-20":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-29":        "the type is kept with the connector, whoever can run it",
	"plugin-removed plugin-removed-34":        "the type is kept with the connector, whoever can run it",
	"plugin-removed plugin-removed-41":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-42":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-52":        "the type is kept with the connector, whoever can run it",
	"plugin-removed plugin-removed-57":        "the type is kept with the connector, whoever can run it",
	"plugin-removed plugin-removed-64":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-65":        "jobs whose plugin no runner has wait for one that has it; they do not fail, and can be restarted",
	"plugin-removed plugin-removed-75":        "the type is kept with the connector, whoever can run it",
	"variant-providers variant-providers-78":  "4.3.1 shows what a reference stands for; 4.4.0, which does not, was not asked",
	"variant-providers variant-providers-82":  "4.3.1 shows what a reference stands for; 4.4.0, which does not, was not asked",
	"variant-auth 181.2":                      "login modules that the client can't use are refused",
	"variant-auth 181.3":                      "overrides come in the order of their names; there in that of a hash table",
	"variant-auth 181.5":                      "login modules that the client can't use are refused",
	"transport transport-34":                  "a limit of Kafka Connect's HTTP server",
	"transport transport-132":                 "a limit of Kafka Connect's HTTP server",
	"names names-62":                          "Kafka Connect fails at { after it has made the connector",
	"names names-66":                          "Kafka Connect fails at { after it has made the connector",
	"names names-71":                          "Kafka Connect fails at { after it has made the connector",
	"names 057.6":                             "Kafka Connect fails at { after it has made the connector",
	"names names-27":                          "Kafka Connect leaves % before two digits as it is in Location, so that it leads elsewhere",
	"lifecycle 098.3":                         "whether the task has failed by then is chance; case 98 waits for it",
	"names names-162":                         "Kafka Connect leaves % before two digits as it is in Location, so that it leads elsewhere",
	"two-workers two-workers-42":              "whether its tasks are still stopping is chance",
	"faults faults-34":                        "how much is logged is up to the operator",
}

// Written are the files that recordings find in the folder {{TMP}}, by recording.
var Written = map[string]map[string]string{
	"variant-providers": {
		"prov.properties": "good=2\nbad=abc\nzero=0\nname=fromfile\ntopic={{RUN}}-t-pr\nempty=\nsecret=hunter2\n",
		"provdir/num":     "3",
		"in-eos":          "a\nb\nc\n",
	},
	// Their lengths and numbers of lines are those of the recordings.
	"tasks-topics":   {"in-tt": "a\nb\n"},
	"two-workers":    {"in-w1": "a\nb\n"},
	"after-deletion": {"in-ad": "a\nb\nc\n"},
	"offsets":        {"in-oo": strings.Repeat("ab\n", 10) + strings.Repeat("abc\n", 10), "in-oo2": "a\nb\n"},
}

// NotSent are rows, as "file id", that are left out because sending them would change what follows, with the reason.
var NotSent = map[string]string{
	"two-workers two-workers-25": noForward,
	"two-workers two-workers-26": noForward,
	"two-workers two-workers-27": noForward,
	"two-workers two-workers-30": noForward,
	"two-workers two-workers-32": noForward,
	"two-workers two-workers-33": noForward,
	"two-workers two-workers-34": noForward,
	"faults faults-1":            "Millrace listens when its routes are there",
	"faults faults-2":            "Millrace listens when its routes are there",
	"faults 003.2":               inKafka,
	"faults faults-19":           inKafka,
	"faults faults-20":           inKafka,
	"faults faults-21":           inKafka,
	"faults faults-22":           inKafka,
	"faults faults-23":           inKafka,
	"faults faults-24":           inKafka,
	"faults faults-25":           inKafka,
	"faults faults-26":           inKafka,
	"faults faults-27":           inKafka,
	"faults faults-28":           inKafka,
	"faults faults-30":           inKafka,
	"faults 004.1":               inKafka,
	"faults 004.2":               inKafka,
	"faults 004.3":               inKafka,
	"lifecycle lifecycle-54":     checked,
	"lifecycle lifecycle-55":     checked,
	"lifecycle lifecycle-56":     checked,
	"lifecycle lifecycle-57":     checked,
	"lifecycle lifecycle-58":     checked,
	"lifecycle lifecycle-59":     checked,
	"lifecycle lifecycle-60":     checked,
	"lifecycle lifecycle-61":     checked,
	"lifecycle lifecycle-62":     checked,
	"lifecycle lifecycle-63":     checked,
	"faults faults-39":           "it was another worker, without connectors",
}

const (
	noForward = "forward=false forbids a worker to ask the leader; every api can do everything"
	checked   = "the connector tells its keys here, so that its settings are checked before it is made"
	inKafka   = "Kafka Connect keeps its state in Kafka, and was asked while that hung; cases 3 and 4 ask with the database away"
)

// refusedByJetty tells whether the recorded answer is that of Kafka Connect's HTTP server to a path that it finds ambiguous or
// suspicious. Such paths are decoded here, so that every connector can be addressed (D7).
func refusedByJetty(r row) bool {
	for _, words := range []string{"{{HTML Error 400 Ambiguous", "{{HTML Error 400 Suspicious"} {
		if strings.HasPrefix(r.Response.Body, words) {
			return true
		}
	}
	return r.Response.Status == 400 && r.Response.Body == "" && decodable.MatchString(r.Request.Path)
}

// decodable finds what that server refuses with an empty answer.
var decodable = regexp.MustCompile(`(?i)%(2f|25|5c|0[0-9a-f]|1[0-9a-f]|7f)|//|/(%2e){1,2}(/|$)`)
