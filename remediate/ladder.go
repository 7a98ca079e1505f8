package remediate

import "slices"

// ladder returns the remedies that are tried for an alert that the one called
// name matches: itself, and then those that it escalates to, each once.
// Remedies in shadow are no rungs, unless it is the only one.
func (e *Engine) ladder(name string) []*Remedy {
	var rungs []*Remedy
	seen := make(map[string]bool)
	var climb func(name string)
	climb = func(name string) {
		r := e.remedy(name)
		if r == nil || seen[name] {
			return
		}
		seen[name] = true
		if r.Mode != ModeShadow || len(seen) == 1 {
			rungs = append(rungs, r)
		}
		if r.Mode == ModeShadow {
			return
		}
		for _, next := range r.Escalate {
			climb(next)
		}
	}
	climb(name)
	return rungs
}

// rung returns the remedy to try next after those in failed did not help, and
// whether each of the ladder has had its turn. Then it begins from the bottom:
// the guards decide how often.
func (e *Engine) rung(ladder string, failed []string) (next *Remedy, exhausted bool) {
	rungs := e.ladder(ladder)
	if len(rungs) == 0 {
		return nil, true
	}
	n := 0
	for _, name := range failed {
		if slices.ContainsFunc(rungs, func(r *Remedy) bool { return r.Name == name }) {
			n++
		}
	}
	return rungs[n%len(rungs)], n > 0 && n%len(rungs) == 0
}
