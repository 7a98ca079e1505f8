package poll

// CompareIndex orders two OIDs, or two ends of OIDs below one column, as
// agents do: number by number. A leading dot is skipped.
func CompareIndex(a, b string) int {
	for {
		a, b = trimDot(a), trimDot(b)
		switch {
		case a == "" && b == "":
			return 0
		case a == "":
			return -1
		case b == "":
			return 1
		}
		var m, n string
		m, a = number(a)
		n, b = number(b)
		if len(m) != len(n) {
			if len(m) < len(n) {
				return -1
			}
			return 1
		}
		if m != n {
			if m < n {
				return -1
			}
			return 1
		}
	}
}

func trimDot(s string) string {
	if s != "" && s[0] == '.' {
		return s[1:]
	}
	return s
}

// number splits the first number off s.
func number(s string) (first, rest string) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// below returns what of name follows prefix and a dot.
func below(name, prefix string) (string, bool) {
	if len(name) <= len(prefix) || name[len(prefix)] != '.' || name[:len(prefix)] != prefix {
		return "", false
	}
	return name[len(prefix)+1:], true
}
