package protobuf

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/millrace/millrace/plugins/converters/registry"
)

// Bounds on a schema.
const (
	maxText  = 16 << 20
	maxDepth = 200 // of braces in braces: the compiler calls itself for each
)

// compile reads a schema with those that it imports.
func compile(text string, deps []registry.Named) (protoreflect.FileDescriptor, error) {
	texts := make(map[string]string, len(deps)+1)
	size := len(text)
	for _, d := range deps {
		texts[d.Name] = d.Text
		size += len(d.Text)
	}
	if size > maxText {
		return nil, bad("the Protobuf schema has more than %d bytes with those that it imports", maxText)
	}
	root := "schema.proto"
	for {
		if _, taken := texts[root]; !taken {
			break
		}
		root = "_" + root
	}
	texts[root] = text
	c := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(protocompile.ResolverFunc(func(name string) (protocompile.SearchResult, error) {
		if text, ok := texts[name]; ok {
			return parsed(name, text)
		}
		if text, ok := known[name]; ok {
			return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
		}
		return protocompile.SearchResult{}, fmt.Errorf("%s is none of the schema's references: %w", name, errAbsent)
	}))}
	files, err := c.Compile(context.Background(), root)
	if err != nil {
		return nil, bad("the Protobuf schema can't be read: %s", strings.ReplaceAll(err.Error(), root+":", "line "))
	}
	return files[0], nil
}

var errAbsent = errors.New("not found")

// parsed hands a schema to the compiler. Some writers register a descriptor in base64 in place of the text.
func parsed(name, text string) (protocompile.SearchResult, error) {
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) > 0 {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(b, file); err == nil {
			file.Name = &name
			return protocompile.SearchResult{Proto: file}, nil
		}
	}
	if deepest(text) > maxDepth {
		return protocompile.SearchResult{}, bad("braces lie in braces more than %d deep", maxDepth)
	}
	return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
}

// deepest is how deep braces, brackets and angles lie in each other at most, comments and texts left out.
func deepest(s string) int {
	depth, most := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '{', '[', '(', '<':
			depth++
			most = max(most, depth)
		case '}', ']', ')', '>':
			depth = max(depth-1, 0)
		case '"', '\'':
			for i++; i < len(s) && s[i] != c && s[i] != '\n'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '/':
			switch {
			case strings.HasPrefix(s[i:], "//"):
				i += max(strings.IndexByte(s[i:], '\n'), 0)
				if s[i] == '/' { // the last line
					return most
				}
			case strings.HasPrefix(s[i:], "/*"):
				end := strings.Index(s[i+2:], "*/")
				if end < 0 {
					return most
				}
				i += end + 3
			}
		}
	}
	return most
}

// messages are the messages that a container declares, without those that stand for entries of maps: they have no place in the text.
func messages(all protoreflect.MessageDescriptors) (declared []protoreflect.MessageDescriptor) {
	for i := range all.Len() {
		if m := all.Get(i); !m.IsMapEntry() {
			declared = append(declared, m)
		}
	}
	return declared
}

// at finds a message by the indexes that a record names it with.
func at(file protoreflect.FileDescriptor, indexes []int) (protoreflect.MessageDescriptor, error) {
	var found protoreflect.MessageDescriptor
	in := file.Messages()
	for _, i := range indexes {
		all := messages(in)
		if i < 0 || i >= len(all) {
			return nil, bad("Invalid message indexes: %v", indexes)
		}
		found = all[i]
		in = found.Messages()
	}
	return found, nil
}

// indexesOf is how a record names its message.
func indexesOf(m protoreflect.MessageDescriptor) []int {
	var siblings protoreflect.MessageDescriptors
	var before []int
	switch parent := m.Parent().(type) {
	case protoreflect.MessageDescriptor:
		before = indexesOf(parent)
		siblings = parent.Messages()
	case protoreflect.FileDescriptor:
		siblings = parent.Messages()
	}
	for i, s := range messages(siblings) {
		if s.FullName() == m.FullName() {
			return append(before, i)
		}
	}
	return before
}

// find looks for a message by its full name, however deep it is declared.
func find(in protoreflect.MessageDescriptors, fits func(protoreflect.MessageDescriptor) bool) protoreflect.MessageDescriptor {
	for _, m := range messages(in) {
		if fits(m) {
			return m
		}
		if found := find(m.Messages(), fits); found != nil {
			return found
		}
	}
	return nil
}

// metaOf are the parameters that a field's options keep for Confluent's converters: extension 1088, whichever way the compiler
// has it.
func metaOf(f protoreflect.FieldDescriptor) map[string]string {
	b, err := proto.Marshal(f.Options())
	if err != nil {
		return nil
	}
	var params map[string]string
	_ = eachField(b, func(n protowire.Number, meta []byte) {
		if n != 1088 {
			return
		}
		_ = eachField(meta, func(n protowire.Number, entry []byte) {
			if n != 2 {
				return
			}
			var kv [3]string
			_ = eachField(entry, func(n protowire.Number, text []byte) {
				if n <= 2 {
					kv[n] = string(text)
				}
			})
			if params == nil {
				params = map[string]string{}
			}
			params[kv[1]] = kv[2]
		})
	})
	return params
}

// eachField goes through the parts of a message that have a length.
func eachField(b []byte, f func(protowire.Number, []byte)) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return protowire.ParseError(n)
		}
		if typ == protowire.BytesType {
			part, _ := protowire.ConsumeBytes(b)
			f(num, part)
		}
		b = b[n:]
	}
	return nil
}
