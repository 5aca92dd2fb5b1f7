package config

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/sdk/data"
)

// Pair is an element of a list of names with what they stand for, as in old:new.
type Pair struct{ Left, Right string }

// Renames reads a list of renames. The error's text is Kafka's.
func Renames(list []string) ([]Pair, error) {
	pairs := make([]Pair, 0, len(list))
	for _, element := range list {
		parts := splitPair(element)
		if len(parts) != 2 {
			return nil, badPair(list, element)
		}
		pairs = append(pairs, Pair{parts[0], parts[1]})
	}
	return pairs, nil
}

// splitPair splits at colons as Java does: what is empty at the end is left out.
func splitPair(element string) []string {
	parts := strings.Split(element, ":")
	for len(parts) > 0 && parts[len(parts)-1] == "" && element != "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}

func badPair(list []string, element string) error {
	return Problem{Key: "renames", Message: fmt.Sprintf("Invalid value %s for configuration renames: Invalid rename mapping: %s", show(list), element)}
}

// Cast says which type a field is to have; Whole: the value itself, which is then the only one.
type Cast struct {
	Field string
	Whole bool
	Type  data.Type
}

// castable are the types that Casts takes, in the order in which its texts list them.
var castable = []data.Type{data.Int8, data.Int16, data.Int32, data.Int64, data.Float32, data.Float64, data.Boolean, data.String}

// Casts reads a list of field:type, or one type alone. The error's text is Kafka's.
func Casts(list []string) ([]Cast, error) {
	if len(list) == 0 {
		return nil, Problem{Message: "Must specify at least one field to cast."}
	}
	casts := make([]Cast, 0, len(list))
	whole := false
	for _, element := range list {
		parts := splitPair(element)
		c := Cast{Whole: len(parts) == 1}
		switch len(parts) {
		case 1:
			whole = true
		case 2:
			c.Field = trim(parts[0])
		case 0:
			return nil, Problem{Message: fmt.Sprintf("Invalid value %s for configuration spec: the field and its type are missing", show(list))}
		default:
			return nil, badPair(list, element)
		}
		var err error
		if c.Type, err = castType(trim(parts[len(parts)-1])); err != nil {
			return nil, err
		}
		casts = append(casts, c)
	}
	if whole && len(list) > 1 {
		return nil, Problem{Message: "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec"}
	}
	return casts, nil
}

func castType(name string) (data.Type, error) {
	upper := strings.ToUpper(name)
	for t := data.Int8; t <= data.StructType; t++ {
		if t.String() != upper {
			continue
		}
		if t <= data.String {
			return t, nil
		}
		return 0, Problem{Message: fmt.Sprintf("Cast transformation does not support casting to %s; supported types are %s", t, listed(castable))}
	}
	return 0, Problem{Message: fmt.Sprintf("Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.%s"+
		" for configuration Invalid type found in casting spec: %s", upper, name)}
}

func listed(types []data.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return show(names)
}
