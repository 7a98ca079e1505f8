package delta

// A plan is what a sync has to do, in the order in which it is done.
type plan struct {
	folders  []difference // to make, outer ones first
	files    []difference // files and links to copy, and files whose metadata is to be set
	deletes  []difference // contents before their folder
	late     []difference // files and links in the place of folders, which must be empty first
	modes    []difference // folders whose permission bits are to be set
	copySize int64        // of the files to copy
}

// add takes one difference into the plan.
func (p *plan) add(d difference) {
	switch d.kind {
	case Missing, Content:
		p.addContent(d)
	case Metadata:
		if d.origin.kind == isFolder {
			p.modes = append(p.modes, d)
		} else {
			p.files = append(p.files, d)
		}
	case Extra:
		p.deletes = append(p.deletes, d)
	default: // excluded, in an extra folder
		p.deletes = append(p.deletes, d)
	}
}

func (p *plan) addContent(d difference) {
	if d.origin.kind == isFolder {
		p.folders = append(p.folders, d)
		if d.origin.mode&0o700 != 0o700 { // it could not be filled with these
			p.modes = append(p.modes, d)
		}
		return
	}
	if d.origin.kind == isFile {
		p.copySize += d.origin.size
	}
	if d.kind == Content && d.replica.kind == isFolder {
		p.late = append(p.late, d)
		return
	}
	p.files = append(p.files, d)
}
