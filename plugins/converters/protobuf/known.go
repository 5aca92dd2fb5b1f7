package protobuf

// known are the files that a schema may import though no registry refers to them: Confluent's, and types of Google's that are
// often used. Those of google/protobuf come with the compiler.
var known = map[string]string{
	decimalFile: protoFile("confluent.type", "", "message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
		`option go_package = "../type"; option java_package = "io.confluent.protobuf.type"; option java_outer_classname = "DecimalProto"; option java_multiple_files = true;`),
	metaFile: protoFile("confluent", "google/protobuf/descriptor.proto", `message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }`,
		`option go_package = "../confluent"; option java_package = "io.confluent.protobuf"; option java_outer_classname = "MetaProto";`),
	dateFile:                           google("date", "message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"),
	timeFile:                           google("timeofday", "message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }"),
	"google/type/money.proto":          google("money", "message Money { string currency_code = 1; int64 units = 2; int32 nanos = 3; }"),
	"google/type/latlng.proto":         google("latlng", "message LatLng { double latitude = 1; double longitude = 2; }"),
	"google/type/decimal.proto":        google("decimal", "message Decimal { string value = 1; }"),
	"google/type/fraction.proto":       google("fraction", "message Fraction { int64 numerator = 1; int64 denominator = 2; }"),
	"google/type/quaternion.proto":     google("quaternion", "message Quaternion { double x = 1; double y = 2; double z = 3; double w = 4; }"),
	"google/type/localized_text.proto": google("localized_text", "message LocalizedText { string text = 1; string language_code = 2; }"),
	"google/type/expr.proto":           google("expr", "message Expr { string expression = 1; string title = 2; string description = 3; string location = 4; }"),
	"google/type/interval.proto": protoFile("google.type", timestampFile,
		"message Interval { google.protobuf.Timestamp start_time = 1; google.protobuf.Timestamp end_time = 2; }", ""),
	"google/type/color.proto": protoFile("google.type", wrappersFile,
		"message Color { float red = 1; float green = 2; float blue = 3; google.protobuf.FloatValue alpha = 4; }", ""),
	"google/type/dayofweek.proto": google("dayofweek",
		"enum DayOfWeek { DAY_OF_WEEK_UNSPECIFIED = 0; MONDAY = 1; TUESDAY = 2; WEDNESDAY = 3; THURSDAY = 4; FRIDAY = 5; SATURDAY = 6; SUNDAY = 7; }"),
	"google/type/month.proto": google("month", "enum Month { MONTH_UNSPECIFIED = 0; JANUARY = 1; FEBRUARY = 2; MARCH = 3; APRIL = 4; MAY = 5; JUNE = 6; "+
		"JULY = 7; AUGUST = 8; SEPTEMBER = 9; OCTOBER = 10; NOVEMBER = 11; DECEMBER = 12; }"),
	"google/type/calendar_period.proto": google("calendar_period", "enum CalendarPeriod { CALENDAR_PERIOD_UNSPECIFIED = 0; DAY = 1; WEEK = 2; FORTNIGHT = 3; MONTH = 4; QUARTER = 5; HALF = 6; YEAR = 7; }"),
	"google/type/datetime.proto": protoFile("google.type", "google/protobuf/duration.proto", `message DateTime { int32 year = 1; int32 month = 2; int32 day = 3; int32 hours = 4; int32 minutes = 5; int32 seconds = 6; int32 nanos = 7;
oneof time_offset { google.protobuf.Duration utc_offset = 8; TimeZone time_zone = 9; } }
message TimeZone { string id = 1; string version = 2; }`, ""),
	"google/type/phone_number.proto": google("phone_number", `message PhoneNumber { message ShortCode { string region_code = 1; string number = 2; }
oneof kind { string e164_number = 1; ShortCode short_code = 2; } string extension = 3; }`),
	"google/type/postal_address.proto": google("postal_address", `message PostalAddress { int32 revision = 1; string region_code = 2; string language_code = 3; string postal_code = 4; string sorting_code = 5;
string administrative_area = 6; string locality = 7; string sublocality = 8; repeated string address_lines = 9; repeated string recipients = 10; string organization = 11; }`),
}

func google(file, text string) string {
	return protoFile("google.type", "", text, `option go_package = "google.golang.org/genproto/googleapis/type/`+file+`;`+file+`"; option java_package = "com.google.type"; option java_multiple_files = true;`)
}

func protoFile(pkg, imports, text, options string) string {
	b := "syntax = \"proto3\";\npackage " + pkg + ";\n"
	if imports != "" {
		b += "import \"" + imports + "\";\n"
	}
	return b + options + "\n" + text + "\n"
}

// wrappersText is the schema of values that are no struct: Google's wrappers.
const wrappersText = `syntax = "proto3";
package google.protobuf;

option cc_enable_arenas = true;
option csharp_namespace = "Google.Protobuf.WellKnownTypes";
option go_package = "google.golang.org/protobuf/types/known/wrapperspb";
option java_multiple_files = true;
option java_outer_classname = "WrappersProto";
option java_package = "com.google.protobuf";
option objc_class_prefix = "GPB";

message DoubleValue {
  double value = 1;
}
message FloatValue {
  float value = 1;
}
message Int64Value {
  int64 value = 1;
}
message UInt64Value {
  uint64 value = 1;
}
message Int32Value {
  int32 value = 1;
}
message UInt32Value {
  uint32 value = 1;
}
message BoolValue {
  bool value = 1;
}
message StringValue {
  string value = 1;
}
message BytesValue {
  bytes value = 1;
}
`

// Schemas of a whole value that is a time.
const timestampText = `syntax = "proto3";
package google.protobuf;

message Timestamp {
  int64 seconds = 1;
  int32 nanos = 2;
}
`
