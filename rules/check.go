package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/minikeeper/minikeeper/internal/strictyaml"
)

// CheckFile reports everything that is wrong with a Prometheus rule file. Its
// error is a [strictyaml.Problems]; file is only the name in the messages.
func CheckFile(file string, src []byte) error {
	var problems strictyaml.Problems
	_, errs := rulefmt.Parse(src, false, model.UTF8Validation, newParser(), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		for _, text := range messages(err) {
			p := locate(src, text)
			p.File = file
			// The file is decoded twice, and says the same twice.
			if !slices.Contains(problems, p) {
				problems = append(problems, p)
			}
		}
	}
	if len(problems) == 0 {
		if second, ok := secondDocument(src); ok {
			second.File = file
			problems = append(problems, second)
		}
	}
	return problems.Err()
}

// messages splits what the YAML decoder puts into one error.
func messages(err error) []string {
	if all, ok := errors.AsType[*yaml.TypeError](err); ok {
		return all.Errors
	}
	return []string{err.Error()}
}

// locate finds the position in the messages of rulefmt, "7:11: …", and of the
// YAML decoder, "yaml: line 7: …" or "line 7: …". For messages without one it
// looks in the file for what they name.
func locate(src []byte, text string) strictyaml.Problem {
	rule := regexp.MustCompile(`^(\d+):(\d+): (?:\d+:\d+: )?`)
	if m := rule.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if number(m[1]) > 0 { // it is 0 for what is not there
			return strictyaml.Problem{Line: number(m[1]), Col: number(m[2]), Message: text}
		}
	}
	decoder := regexp.MustCompile(`^(?:yaml: )?line (\d+): (?:column (\d+): )?`)
	if m := decoder.FindStringSubmatch(text); m != nil {
		return strictyaml.Problem{Line: number(m[1]), Col: max(number(m[2]), 1), Message: plain(text[len(m[0]):])}
	}
	if n := search(src, text); n != nil {
		return strictyaml.Problem{Line: n.Line, Col: n.Column, Message: text}
	}
	return strictyaml.Problem{Message: text}
}

// plain takes the names of Go types out of a decoder's message.
func plain(text string) string {
	unknown := regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	if m := unknown.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("unknown key %q", m[1])
	}
	text = strings.ReplaceAll(text, "rulefmt.", "")
	return strings.ReplaceAll(text, "RuleNode", "Rule")
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// secondDocument finds a part of the file that Prometheus would pass over.
func secondDocument(src []byte) (strictyaml.Problem, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var first, second yaml.Node
	if err := decoder.Decode(&first); err != nil {
		return strictyaml.Problem{}, false
	}
	if err := decoder.Decode(&second); errors.Is(err, io.EOF) {
		return strictyaml.Problem{}, false
	}
	return strictyaml.Problem{
		Line: max(second.Line, 1), Col: max(second.Column, 1),
		Message: "a rule file is one YAML document; this second one would be passed over",
	}, true
}
