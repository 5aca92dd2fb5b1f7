package plugins_test

import "github.com/millrace/millrace/tests/conformance/transformtest"

type props = map[string]string

// transformations are the harnesses of transformations and predicates, by kind and class.
var transformations = func() map[string]transformtest.Harness {
	const pkg = "org.apache.kafka.connect.transforms."
	all := map[string]transformtest.Harness{}
	for name, h := range map[string]transformtest.Harness{
		"Cast": {Config: []props{{"spec": "string"}, {"spec": "int8"}, {"spec": "a:float64,b:int32,zz:boolean", "replace.null.with.default": "false"}},
			Refused: []props{{"spec": ""}, {"spec": "a:nope"}, {"spec": "int8,int16"}, {"spec": ":"}, {"spec": "a:b:c"}, {"spec": "a:bytes"}}},
		"ExtractField": {Config: []props{{"field": "a"}, {"field": "n.q", "field.syntax.version": "V2"}, {"field": "n.zz", "field.syntax.version": "v2", "replace.null.with.default": "false"}},
			Refused: []props{{"field": "`a", "field.syntax.version": "V2"}, {"field": "", "field.syntax.version": "V2"}, {"field": "a", "field.syntax.version": "V3"}}},
		"Flatten": {Config: []props{{}, {"delimiter": ""}, {"delimiter": "_"}}},
		"HeaderFrom": {Config: []props{{"fields": "b,a", "headers": "h1,new", "operation": "move"}, {"fields": "b", "headers": "h", "operation": "copy"},
			{"fields": "zz", "headers": "h", "operation": "copy"}}, Refused: []props{{"fields": "a,b", "headers": "h", "operation": "move"}, {"fields": "", "headers": "", "operation": "move"}}},
		"HoistField": {Config: []props{{"field": "x"}, {"field": ""}}},
		"InsertField": {Config: []props{{"topic.field": "t!", "partition.field": "p", "timestamp.field": "when?", "static.field": "s", "static.value": "v"}, {"offset.field": "o"},
			{"static.field": "a", "static.value": ""}}, Refused: []props{{}, {"static.field": "s"}}},
		"MaskField": {Config: []props{{"fields": "a,b,zz"}, {"fields": "a,b", "replacement": "12"}, {"fields": "b,a,list,n", "replacement": "x", "replace.null.with.default": "false"}},
			Refused: []props{{"fields": ""}, {"fields": "a", "replacement": ""}}},
		"ReplaceField": {Config: []props{{"exclude": "b", "renames": "a:x,n:y"}, {"include": "a,zz"}, {"renames": "a:b"}}, Refused: []props{{"renames": "a"}, {"exclude": "a,,b"}}},
		"SetSchemaMetadata": {Config: []props{{"schema.name": "n", "schema.version": "7"}, {"schema.version": "1", "replace.null.with.default": "false"}},
			Refused: []props{{}, {"schema.version": "x"}}},
		"TimestampConverter": {Config: []props{{"target.type": "string", "format": "yyyy-MM-dd"}, {"target.type": "unix", "unix.precision": "nanoseconds"},
			{"target.type": "Date", "field": "ts"}, {"target.type": "Timestamp", "field": "b", "format": "yyyy"}, {"target.type": "Time"}},
			Refused: []props{{"target.type": "string"}, {"target.type": "x"}, {"target.type": "unix", "format": "bad"}, {"target.type": "unix", "unix.precision": "days"}}},
	} {
		all["transformation "+pkg+name+"$Key"], all["transformation "+pkg+name+"$Value"] = h, h
	}
	for name, h := range map[string]transformtest.Harness{
		"DropHeaders":     {Config: []props{{"headers": "h1,zz"}, {"headers": "zz"}}, Refused: []props{{"headers": ""}}},
		"Filter":          {Config: []props{{}}},
		"InsertHeader":    {Config: []props{{"header": "h1", "value.literal": "[1,2]"}, {"header": "", "value.literal": ""}}},
		"RegexRouter":     {Config: []props{{"regex": "(t)(?<rest>.*)", "replacement": "$1-${rest}"}, {"regex": "x", "replacement": ""}, {"regex": ".*", "replacement": "$9"}}, Refused: []props{{"regex": "(", "replacement": "x"}}},
		"TimestampRouter": {Config: []props{{}, {"topic.format": "${timestamp}/${topic}", "timestamp.format": "yyyy-'W'ww"}, {"timestamp.format": "bad"}}},
		"ValueToKey": {Config: []props{{"fields": "b,a"}, {"fields": "n.q,b", "field.syntax.version": "V2", "replace.null.with.default": "false"}},
			Refused: []props{{"fields": ""}, {"fields": "a,,b"}, {"fields": "`x", "field.syntax.version": "V2"}}},
	} {
		all["transformation "+pkg+name] = h
	}
	for name, h := range map[string]transformtest.Harness{
		"HasHeaderKey":      {Config: []props{{"name": "h1"}, {"name": "zz"}}, Refused: []props{{"name": ""}}},
		"RecordIsTombstone": {Config: []props{{}}},
		"TopicNameMatches":  {Config: []props{{"pattern": "top.*"}, {"pattern": "(?!top).*"}}, Refused: []props{{"pattern": ""}, {"pattern": "["}}},
	} {
		all["predicate "+pkg+"predicates."+name] = h
	}
	return all
}()
