package collectors

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A cacheStatus is what a content cache says about itself, by Apple's names
// (schema: apple/device-management, information.contentcaching.yaml). Values
// are of the types of encoding/json, with json.Number for numbers. Any key may
// be absent: which there are depends on the system's version.
type cacheStatus map[string]any

// parseCacheStatus reads the output of "AssetCacheManagerUtil status -j":
// {"name": "status", "result": {…}} on one line or many, or an array of such
// (-a). Log lines before it are passed over.
func parseCacheStatus(out []byte) (cacheStatus, error) {
	if len(out) > listLimit {
		return nil, fmt.Errorf("status of content cache: %d MiB are too much to be true", len(out)>>20)
	}
	text := skipLog(out)
	if len(text) == 0 {
		return nil, fmt.Errorf("status of content cache: not JSON: %q", firstLine(out))
	}
	type answer struct {
		Name   string      `json:"name"`
		Result cacheStatus `json:"result"`
	}
	var answers []answer
	var err error
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if text[0] == '[' {
		err = decoder.Decode(&answers)
	} else {
		answers = make([]answer, 1)
		err = decoder.Decode(&answers[0])
	}
	if err != nil {
		return nil, fmt.Errorf("status of content cache: %w", err)
	}
	for _, a := range answers {
		if (a.Name == "status" || a.Name == "") && len(a.Result) > 0 {
			return a.Result, nil
		}
	}
	return nil, fmt.Errorf("status of content cache: no result in %q", firstLine(text))
}

// skipLog returns out from its first line on that begins as JSON does. The
// tool logs to stderr, which wrappers like to merge.
func skipLog(out []byte) []byte {
	for rest := out; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) > 0 && (line[0] == '{' || line[0] == '[') {
			return bytes.TrimLeft(rest, " \t\r")
		}
		rest = after
	}
	return nil
}
