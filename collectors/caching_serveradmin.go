package collectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// parseServerAdmin reads the output of "serveradmin fullstatus caching" of
// Server.app (OS X 10.8 to macOS 10.12), lines such as
//
//	caching:state = "RUNNING"
//	caching:Peers:_array_index:0:healthy = yes
//
// Where a key comes twice, as when settings stand before, the later one holds.
func parseServerAdmin(out []byte) (cacheStatus, error) {
	if err := checkLength(string(out)); err != nil {
		return nil, fmt.Errorf("serveradmin: %w", err)
	}
	tree := make(map[string]any)
	for line := range strings.Lines(string(out)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		name, ours := strings.CutPrefix(name, "caching:")
		if ok && ours && len(line) <= lineLimit {
			plant(tree, strings.Split(name, ":"), serverAdminValue(value))
		}
	}
	if reason, failed := tree["error"]; failed {
		return nil, fmt.Errorf("serveradmin: %s", inWords(reason))
	}
	if _, ok := tree["state"]; !ok {
		return nil, errors.New("serveradmin: no state of caching in what it prints")
	}
	status, _ := arrays(tree).(map[string]any)
	return withState(status)
}

// serverAdminDepth is how deep a key may be: Peers:_array_index:0:details:local-network:_array_index:0:speed has eight.
const serverAdminDepth = 16

// plant puts value at path below tree. What would make a value of a branch, or
// the other way round, is nonsense and passed over.
func plant(tree map[string]any, path []string, value any) {
	if len(path) > serverAdminDepth {
		return
	}
	for _, step := range path[:len(path)-1] {
		below, ok := tree[step].(map[string]any)
		if !ok {
			if tree[step] != nil {
				return
			}
			below = make(map[string]any)
			tree[step] = below
		}
		tree = below
	}
	last := path[len(path)-1]
	if _, branch := tree[last].(map[string]any); !branch {
		tree[last] = value
	}
}

// serverAdminValue reads a value as JSON would have it.
func serverAdminValue(text string) any {
	if word, quoted := unquoted(text); quoted {
		return word
	}
	switch text {
	case "yes":
		return true
	case "no":
		return false
	case "_empty_array":
		return []any{}
	case "_empty_dictionary":
		return map[string]any{}
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return json.Number(text)
	}
	return text
}

// arrays returns value with every {"_array_index": {"0": …}} made an array.
func arrays(value any) any {
	branch, ok := value.(map[string]any)
	if !ok {
		return value
	}
	if indexed, ok := branch["_array_index"].(map[string]any); ok {
		keys := slices.SortedFunc(maps.Keys(indexed), func(a, b string) int {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			if x != y {
				return x - y
			}
			return strings.Compare(a, b)
		})
		list := make([]any, len(keys))
		for i, key := range keys {
			list[i] = arrays(indexed[key])
		}
		return list
	}
	for key, below := range branch {
		branch[key] = arrays(below)
	}
	return branch
}

// withState reads Server.app's word for whether the service is on, which
// stands for Activated, and for Active where that is not told.
func withState(status cacheStatus) (cacheStatus, error) {
	var on, serves bool
	switch state := status["state"]; state {
	case "RUNNING":
		on, serves = true, true
	case "STARTING", "STOPPING":
		on = state == "STARTING"
	case "STOPPED":
	default:
		return status, fmt.Errorf("serveradmin: unknown state of caching: %s", inWords(state))
	}
	if _, told := status["Activated"]; !told {
		status["Activated"] = on
	}
	if _, told := status["Active"]; !told {
		status["Active"] = serves
	}
	return status, nil
}

// unquoted takes the quotes from a word as serveradmin prints it.
func unquoted(word string) (string, bool) {
	inner, ok := strings.CutPrefix(word, `"`)
	if !ok || !strings.HasSuffix(inner, `"`) {
		return word, false
	}
	return strings.TrimSuffix(inner, `"`), true
}
