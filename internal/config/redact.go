package config

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Redacted returns the effective configuration, with all defaults, as YAML.
// Secrets are left out, and what came from an environment variable is shown as
// it is written in the file.
func (c *Config) Redacted() []byte {
	shown := *c
	shown.Notify.Channels = make(map[string]Channel, len(c.Notify.Channels))
	for name, ch := range c.Notify.Channels {
		if ch.PasswordFile != "" {
			ch.Password = Secret{} // the file's path says it
		}
		if ch.TokenFile != "" {
			ch.Token = Secret{}
		}
		shown.Notify.Channels[name] = ch
	}
	var tree yaml.Node
	if err := tree.Encode(shown); err != nil {
		return fmt.Appendf(nil, "# this configuration cannot be shown: %v\n", err)
	}
	for _, v := range c.variables {
		if n := lookup(&tree, v.Path); n != nil {
			n.SetString(v.Written)
		}
	}
	if n := lookup(&tree, at("store", "scrape_configs")); n != nil {
		*n = *redactForeign(n, false)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&tree); err != nil {
		return fmt.Appendf(nil, "# this configuration cannot be shown: %v\n", err)
	}
	return b.Bytes()
}

// lookup returns the scalar or block at path, or nil.
func lookup(n *yaml.Node, path []any) *yaml.Node {
	for _, step := range path {
		i := -1
		switch step := step.(type) {
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				i = step
			}
		case string:
			for k := 0; k+1 < len(n.Content) && n.Kind == yaml.MappingNode; k += 2 {
				if n.Content[k].Value == step {
					i = k + 1
				}
			}
		}
		if i < 0 {
			return nil
		}
		n = n.Content[i]
	}
	return n
}

// redactForeign copies a block of somebody else's format without comments, in
// which whatever may be a secret is hidden: too much rather than too little.
func redactForeign(n *yaml.Node, secret bool) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		if secret {
			return &yaml.Node{Kind: yaml.ScalarNode, Value: hidden}
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.Tag, Style: n.Style &^ yaml.TaggedStyle, Value: withoutUser(n.Value)}
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style &^ yaml.TaggedStyle, Value: n.Value, Anchor: n.Anchor, Alias: n.Alias}
	for i, child := range n.Content {
		under := secret
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			out.Content = append(out.Content, &yaml.Node{Kind: child.Kind, Value: child.Value, Anchor: child.Anchor, Alias: child.Alias})
			continue
		}
		if n.Kind == yaml.MappingNode {
			under = secret || secretKey(n.Content[i-1].Value)
		}
		out.Content = append(out.Content, redactForeign(child, under))
	}
	return out
}

// secretKey tells whether the key of a foreign block may hold a secret.
func secretKey(key string) bool {
	key = strings.ToLower(key)
	if strings.HasSuffix(key, "_file") {
		return false
	}
	words := []string{"password", "secret", "token", "credential", "key", "http_headers", "proxy_connect_header", "params"}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(key, w) })
}

// withoutUser hides the user and password of an address.
func withoutUser(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	u, err := url.Parse(s)
	switch {
	case err == nil && u.User != nil:
		u.User = url.User("hidden")
		return u.String()
	case strings.Contains(s, "://"):
		return hidden
	default:
		return s
	}
}
