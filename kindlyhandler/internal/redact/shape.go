package redact

// Shape says which fields of documents stay as they are. An array is as its
// elements are.
type Shape struct {
	fields [][]field // of each place
}

// Fields are the fields of an object of which there is something to say: what
// is in those with nil stays as it is, whatever that is; what is in others is
// redacted, but for what is said of them. All other fields are redacted.
type Fields map[string]Fields

// place is somewhere in a document.
type place uint8

const (
	kept    place = iota // everything there stays
	unknown              // nothing is said about it
	root
)

type field struct {
	name  string
	place place
}

// NewShape returns the shape of documents with these fields. There may be some
// 250 that have fields themselves.
func NewShape(fields Fields) *Shape {
	s := &Shape{fields: make([][]field, root)}
	s.add(fields)
	return s
}

func (s *Shape) add(fields Fields) place {
	at := place(len(s.fields))
	s.fields = append(s.fields, nil)
	for name, inner := range fields {
		to := kept
		if inner != nil {
			to = s.add(inner)
		}
		s.fields[at] = append(s.fields[at], field{name, to})
	}
	return at
}

// field returns the place of a field. A name with escapes is not known: Kindly
// has none in its own.
func (s *Shape) field(of place, name []byte) place {
	if of == kept {
		return kept
	}
	for _, f := range s.fields[of] {
		if f.name == string(name) {
			return f.place
		}
	}
	return unknown
}
