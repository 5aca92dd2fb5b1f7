"""Writes peer.jsonl: messages that Google's own implementation made, for TestProtobuf_reads_what_Googles_library_wrote.

Needs pip install grpcio-tools (protoc) and protobuf; run it in this folder.
"""

import json
import os
import tempfile

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from grpc_tools import protoc

ORDER = """syntax = "proto3";
package shop;
import "google/protobuf/wrappers.proto";
import "google/protobuf/timestamp.proto";
message First { message Inner { string a = 1; } int32 x = 1; }
message Order {
  map<string, int64> counts = 1;
  map<int32, Line> lines = 2;
  message Line { string sku = 1; repeated sint32 sizes = 2; }
  oneof pay { string card = 3; Line barter = 4; fixed32 cents = 5; }
  optional int32 maybe = 6;
  repeated double scores = 7;
  repeated bool flags = 8 [packed = false];
  enum State { NEW = 0; DONE = 5; }
  State state = 9;
  repeated State states = 10;
  google.protobuf.StringValue note = 11;
  google.protobuf.Timestamp at = 12;
  uint32 big = 13;
  uint64 bigger = 14;
  sfixed64 fixed = 15;
  repeated Line all = 16;
}
"""
OLD = """syntax = "proto2";
message Old {
  required string id = 1;
  optional int32 size = 2 [default = 42];
  optional string word = 3 [default = "none"];
  repeated int32 loose = 4;
  repeated int32 tight = 5 [packed = true];
  enum Kind { A = 1; B = 2; }
  optional Kind kind = 6 [default = B];
  extensions 100 to 200;
}
"""
CASES = [
    ("full", ORDER, "shop.Order", [1], """counts { key: "b" value: 2 } lines { key: -7 value { sku: "s" sizes: -1 sizes: 2 } } barter { sku: "goat" }
        maybe: 0 scores: 1.5 scores: -0.0 flags: true flags: false state: DONE states: NEW states: 9 note { value: "" } at { seconds: -1 nanos: 999000000 }
        big: 4294967295 bigger: 18446744073709551615 fixed: -5 all { } all { sku: "z" }"""),
    ("empty", ORDER, "shop.Order", [1], ""),
    ("inner", ORDER, "shop.First.Inner", [0, 0], 'a: "deep"'),
    ("line", ORDER, "shop.Order.Line", [1, 0], 'sku: "only"'),
    ("old", OLD, "Old", [0], 'id: "i" loose: [1, 2] tight: [3, -4]'),
    ("old full", OLD, "Old", [0], 'id: "i" size: 0 word: "" kind: A'),
]

with tempfile.TemporaryDirectory() as folder, open("peer.jsonl", "w", encoding="utf-8") as out:
    for name, text, message, indexes, value in CASES:
        with open(os.path.join(folder, "a.proto"), "w", encoding="utf-8") as file:
            file.write(text)
        result = os.path.join(folder, "set")
        include = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
        assert protoc.main(["protoc", "-I" + folder, "-I" + include, "--include_imports", "--descriptor_set_out=" + result, "a.proto"]) == 0
        pool = descriptor_pool.DescriptorPool()
        with open(result, "rb") as file:
            for each in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
                pool.Add(each)
        made = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))()
        text_format.Parse(value, made)
        row = {"name": name, "schema": text, "indexes": indexes, "hex": made.SerializeToString(deterministic=True).hex()}
        out.write(json.dumps(row) + "\n")
