package rules

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// search returns the node of a rule file that a message without a position is
// about, or nil.
func search(src []byte, text string) *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	groups := valueOf(doc.Content[0], "groups")
	if m := regexp.MustCompile(`^group "(.*?)", rule (\d+), `).FindStringSubmatch(text); m != nil {
		return ruleOf(groups, m[1], number(m[2])-1)
	}
	if m := regexp.MustCompile(`^groupname: "(.*)" is repeated`).FindStringSubmatch(text); m != nil {
		return named(groups, m[1])
	}
	if m := regexp.MustCompile(`^not a valid duration string: "(.*)"$`).FindStringSubmatch(text); m != nil {
		return scalar(&doc, m[1])
	}
	return nil
}

// valueOf returns what a mapping has under key, or nil.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// named returns the last of groups that has the name, or nil.
func named(groups *yaml.Node, name string) *yaml.Node {
	var found *yaml.Node
	for i := 0; item(groups, i) != nil; i++ {
		if n := valueOf(item(groups, i), "name"); n != nil && n.Value == name {
			found = item(groups, i)
		}
	}
	return found
}

// ruleOf returns rule number i of the first group with the name that has one.
func ruleOf(groups *yaml.Node, name string, i int) *yaml.Node {
	for g := 0; item(groups, g) != nil; g++ {
		if n := valueOf(item(groups, g), "name"); n == nil || n.Value != name {
			continue
		}
		if rule := item(valueOf(item(groups, g), "rules"), i); rule != nil {
			return rule
		}
	}
	return nil
}

// item returns number i of a list, or nil.
func item(n *yaml.Node, i int) *yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}

// scalar returns the first scalar with the text below n, or nil.
func scalar(n *yaml.Node, text string) *yaml.Node {
	if n.Kind == yaml.ScalarNode && n.Value == text {
		return n
	}
	for _, child := range n.Content {
		if found := scalar(child, text); found != nil {
			return found
		}
	}
	return nil
}
