package pipeline

// KeptBytes is how many bytes of consumed records are kept.
func (p *Pipeline) KeptBytes() (n int) {
	for _, k := range p.kept {
		n += k.bytes
	}
	return n
}
