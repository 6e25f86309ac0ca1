package transfer

// SetMaxLine changes how long a line may be.
func (r *Reader) SetMaxLine(bytes int) { r.most = bytes }
