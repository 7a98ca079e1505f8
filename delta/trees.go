package delta

import "fmt"

// trees are the two roots, open.
type trees struct {
	origin, replica     *dir
	originID, replicaID id
}

// openTrees opens both roots and refuses two that overlap.
func openTrees(origin, replica string) (trees, error) {
	var t trees
	var err error
	if t.origin, err = openRoot(origin); err != nil {
		return trees{}, fmt.Errorf("origin: %w", err)
	}
	if t.replica, err = openRoot(replica); err != nil {
		t.close()
		return trees{}, fmt.Errorf("replica: %w", err)
	}
	if err := t.identify(); err != nil {
		t.close()
		return trees{}, err
	}
	return t, nil
}

func (t *trees) identify() error {
	for _, side := range []struct {
		d  *dir
		id *id
	}{{t.origin, &t.originID}, {t.replica, &t.replicaID}} {
		st, err := side.d.self()
		if err != nil {
			return fmt.Errorf("look at %s: %w", side.d.f.Name(), err)
		}
		*side.id = st.id
	}
	for _, side := range []struct {
		inner *dir
		outer id
	}{{t.origin, t.replicaID}, {t.replica, t.originID}} {
		within, err := liesWithin(side.inner, side.outer)
		if err != nil {
			return err
		}
		if within {
			return fmt.Errorf("%w: %s and %s", ErrSameTree, t.origin.f.Name(), t.replica.f.Name())
		}
	}
	return nil
}

func (t *trees) close() {
	t.origin.release()
	t.replica.release()
}

// liesWithin tells whether d is the folder outer or lies below it. It goes up
// by "..", so it is right however the paths are spelled.
func liesWithin(d *dir, outer id) (bool, error) {
	var below id
	for up := "."; ; up += "/.." {
		st, err := d.stat(up)
		if err != nil {
			return false, fmt.Errorf("look above %s: %w", d.f.Name(), err)
		}
		if st.id == outer {
			return true, nil
		}
		if st.id == below {
			return false, nil // the root is its own parent
		}
		below = st.id
	}
}
